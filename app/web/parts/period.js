/** A week or a month of a user: hours, entries and timesheets. The address has the unit and a day. */

import { call } from "../api.js";
import { bars } from "../chart.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import {
  addDays, dayOf, formatDay, formatRange, fromInput, nextMonth, now, rangeAround, spellLength,
} from "../time.js";
import { addEntry } from "./entry-form.js";
import { entryList } from "./entry-list.js";
import { icon } from "./icons.js";
import { choice, emptyPanel } from "./panels.js";
import { timesheetList } from "./timesheets.js";

const DAY = /^20\d\d-\d\d-\d\d$/;

/**
 * @param {Api.User} owner the user whose time it is
 * @param {string} route of the page, behind which the unit and the day stand
 * @param {string[]} rest
 * @param {Done} reload
 */
export async function periodOf(owner, route, [givenUnit, givenDay = ""], reload) {
  const today = dayOf(now(), owner.time_zone);
  const unit = givenUnit === "month" ? "month" : "week";
  const day = DAY.test(givenDay) && Date.parse(givenDay) ? givenDay : today;
  const [first, last] = rangeAround(day, unit);
  const [{ total_seconds: total, rows }, entries, sheets] = await read(owner, { start_date: first, end_date: last });
  const days = rows.map((each) => ({ ...each, date: each.day ?? "" }));
  return [
    head(owner, { route, unit, day, first, last, today }),
    h(
      "section", { class: "card" },
      h("p", { class: "total" }, h("strong", {}, spellLength(total)), " ", t(`time.in_${unit}`)),
      bars(days, today),
    ),
    await timesheetList(owner, sheets, entries, today, reload),
    h(
      "section", { class: "card" },
      h("div", { class: "row" }, h("h2", {}, t("time.entries")), addButton(owner, first, last, today, reload)),
      entries.length > 0 ? entryList(entries, days, reload) : emptyPanel(t("time.empty")),
    ),
  ];
}

/** @param {Api.User} owner @param {{start_date: string, end_date: string}} days */
function read({ id }, days) {
  return Promise.all([
    call("GET", "reports/summary", { query: { ...days, user_id: id, group_by: ["day"], fill: true } }),
    call("GET", "time-entries", { query: { ...days, user_id: id, can: true, limit: 1000 } }),
    call("GET", "timesheets/me", { query: days }),
  ]);
}

/**
 * @param {Api.User} owner
 * @param {{route: string, unit: string, day: string, first: string, last: string, today: string}} shown
 */
function head(owner, { route, unit, day, first, last, today }) {
  const name = unit === "month"
    ? formatDay(first, { month: "long", year: "numeric" }) : formatRange(first, last);
  const before = unit === "month" ? addDays(first, -1) : addDays(first, -7);
  const after = unit === "month" ? nextMonth(first) : addDays(first, 7);
  /** @param {string} to @param {"left" | "right"} glyph @param {string} label */
  const step = (to, glyph, label) => h(
    "a", { class: "button round", href: `#/${route}/${unit}/${to}`, "aria-label": label }, icon(glyph),
  );
  const units = [[`${route}/week/${day}`, t("time.week")], [`${route}/month/${day}`, t("time.month")]];
  return h(
    "div", { class: "head" },
    owner.id === user().id ? h("h1", { tabindex: "-1" }, name) : h(
      "div", {}, h("h1", { tabindex: "-1" }, `${owner.first_name} ${owner.last_name}`),
      h("p", { class: "quiet" }, name),
    ),
    h(
      "div", { class: "row" }, choice(units, `${route}/${unit}/${day}`),
      h(
        "p", { class: "steps" }, step(before, "left", t("time.before")),
        h("a", { class: "button", href: `#/${route}/${unit}/${today}` }, t("time.today")),
        step(after, "right", t("time.after")),
      ),
    ),
  );
}

/** @param {Api.User} owner @param {string} first @param {string} last @param {string} today @param {Done} reload */
function addButton(owner, first, last, today, reload) {
  const day = today >= first && today <= last ? today : first;
  const start = fromInput(`${day}T08:00`, owner.time_zone);
  const add = () => addEntry({ values: { start }, done: reload, owner });
  return h("button", { type: "button", class: "primary", onclick: add }, t("entry.add"));
}
