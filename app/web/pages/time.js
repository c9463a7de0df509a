/** My time: a week or a month, its hours, entries and timesheets. The address has the unit and a day. */

import { call } from "../api.js";
import { bars } from "../chart.js";
import { h } from "../dom.js";
import { entryList } from "../parts/entry-list.js";
import { addEntry } from "../parts/entry-form.js";
import { icon } from "../parts/icons.js";
import { choice, emptyPanel } from "../parts/panels.js";
import { timesheetList } from "../parts/timesheets.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { addDays, dayOf, formatDay, formatRange, fromInput, nextMonth, now, rangeAround, spellLength } from "../time.js";

const DAY = /^20\d\d-\d\d-\d\d$/;

export async function render({ rest, reload }) {
  const today = dayOf(now(), user().time_zone);
  const unit = rest[0] === "month" ? "month" : "week";
  const day = DAY.test(rest[1] ?? "") ? rest[1] : today;
  const [first, last] = rangeAround(day, unit);
  const days = { start_date: first, end_date: last };
  const [report, entries, sheets] = await Promise.all([
    call("GET", "reports/me", { query: days }),
    call("GET", "time-entries", { query: { ...days, user_id: user().id, can: true, limit: 1000 } }),
    call("GET", "timesheets/me", { query: days }),
  ]);
  return {
    content: [
      head(unit, day, first, last, today),
      h(
        "section", { class: "card" },
        h("p", { class: "total" }, h("strong", {}, spellLength(report.total_seconds)), " ", t(`time.in_${unit}`)),
        bars(report.days, today),
      ),
      await timesheetList(sheets, entries, today, reload),
      h(
        "section", { class: "card" },
        h("div", { class: "row" }, h("h2", {}, t("time.entries")), addButton(first, last, today, reload)),
        entries.length > 0 ? entryList(entries, report.days, reload) : emptyPanel(t("time.empty")),
      ),
    ],
  };
}

function head(unit, day, first, last, today) {
  const name = unit === "month"
    ? formatDay(first, { month: "long", year: "numeric" }) : formatRange(first, last);
  const before = unit === "month" ? addDays(first, -1) : addDays(first, -7);
  const after = unit === "month" ? nextMonth(first) : addDays(first, 7);
  const step = (to, glyph, label) => h(
    "a", { class: "button round", href: `#/time/${unit}/${to}`, "aria-label": label }, icon(glyph),
  );
  return h(
    "div", { class: "head" },
    h("h1", { tabindex: "-1" }, name),
    h(
      "div", { class: "row" },
      choice([
        [`time/week/${day}`, t("time.week")], [`time/month/${day}`, t("time.month")],
      ], `time/${unit}/${day}`),
      h(
        "p", { class: "steps" }, step(before, "left", t("time.before")),
        h("a", { class: "button", href: `#/time/${unit}/${today}` }, t("time.today")),
        step(after, "right", t("time.after")),
      ),
    ),
  );
}

function addButton(first, last, today, reload) {
  const day = today >= first && today <= last ? today : first;
  const start = fromInput(`${day}T08:00`, user().time_zone);
  const add = () => addEntry({ values: { start }, done: reload });
  return h("button", { type: "button", class: "primary", onclick: add }, t("entry.add"));
}
