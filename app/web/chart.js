/** Bars for the hours of each day. The table below them says the same to who can't see them. */

import { h } from "./dom.js";
import { t } from "./text.js";
import { formatDay, formatLength } from "./time.js";

const HEIGHT = 120;
const TOP = 22;
const BASE = 24;

/**
 * @param {{date: string, total_seconds: number, needs_review_seconds: number}[]} days
 * @param {string} today
 */
export function bars(days, today) {
  const total = matchMedia("(max-width: 34rem)").matches ? 360 : 700; // so that texts are as large on a phone
  const step = total / days.length;
  const most = Math.max(8 * 3600, ...days.map((each) => each.total_seconds));
  const isWeek = days.length <= 7;
  const drawn = days.map((day, index) => {
    const height = (day.total_seconds / most) * HEIGHT;
    const width = Math.min(step * 0.6, 44);
    const x = index * step + (step - width) / 2;
    const middle = index * step + step / 2;
    return h(
      "g", { class: day.date === today ? "bar today" : "bar" },
      h("rect", { class: "track", x, y: TOP, width, height: HEIGHT, rx: 5 }),
      day.total_seconds > 0 && h("rect", { x, y: TOP + HEIGHT - height, width, height, rx: Math.min(5, height / 2) }),
      isWeek && day.total_seconds > 0 && h(
        "text", { x: middle, y: TOP - 8, class: "value" }, formatLength(day.total_seconds),
      ),
      h("text", { x: middle, y: TOP + HEIGHT + BASE - 4 }, label(day.date, isWeek)),
    );
  });
  return h(
    "figure", { class: "chart" },
    h("svg", { viewBox: `0 0 ${total} ${TOP + HEIGHT + BASE}`, "aria-hidden": "true", focusable: "false" }, drawn),
    h("details", {}, h("summary", {}, t("chart.table")), table(days)),
  );
}

/** @param {string} date @param {boolean} isWeek */
function label(date, isWeek) {
  if (isWeek) return formatDay(date, { weekday: "short" });
  const day = Number(date.slice(8));
  return day === 1 || day % 5 === 0 ? String(day) : "";
}

/** @param {Day[]} days */
function table(days) {
  const rows = days.map((day) => h(
    "tr", {}, h("th", { scope: "row" }, formatDay(day.date, { weekday: "short", day: "numeric", month: "short" })),
    h("td", {}, formatLength(day.total_seconds)), h("td", {}, formatLength(day.needs_review_seconds)),
  ));
  const heads = ["chart.day", "chart.hours", "chart.to_review"].map((key) => h("th", { scope: "col" }, t(key)));
  return h("table", {}, h("caption", { class: "unseen" }, t("chart.caption")), h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, rows));
}
