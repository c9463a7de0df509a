/** What is to do: forgotten clock-outs, entries to review, periods to submit, timesheets to decide on. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { isManager, user } from "../session.js";
import { t } from "../text.js";
import { dayOf, formatInstant, formatRange, formatTime, spellLength } from "../time.js";
import { correctEntry } from "./entry-form.js";
import { itemButton } from "./form.js";

/** Links to what the user has to do, or nothing. Of a team, only the timesheets that wait for a decision count. */
export async function ownTodo() {
  const todo = await call("GET", "reports/todo");
  const [entry, ...entries] = entriesOf(todo, true);
  const [sheet, ...sheets] = todo.to_submit.filter(({ user_id: id }) => id === user().id);
  /** @param {string} key @param {string} route @param {number} count */
  const link = (key, route, count) => h("a", { class: "link", href: `#/${route}` }, t(key, { count }));
  return [
    entry && link("todo.correct", `time/week/${dayOf(entry.start_time, entry.time_zone)}`, entries.length + 1),
    sheet && link("todo.submit", `time/${placeOf(sheet)}`, sheets.length + 1),
    isManager() && todo.to_decide_total > 0 && link("todo.decide", "team", todo.to_decide_total),
  ];
}

/**
 * The entries of the team that were left open or need review, with a button to correct each.
 * @param {Api.Todo} todo
 * @param {Done} reload
 */
export function toCorrect(todo, reload) {
  const entries = entriesOf(todo, false);
  return entries.length > 0 && h(
    "section", { class: "card" }, h("h2", {}, t("todo.correct", { count: entries.length })),
    h("ul", { class: "entries" }, entries.map((entry) => entryItem(entry, reload))),
  );
}

/**
 * The periods that the team has not submitted, as links to the user's week or month.
 * @param {Api.Todo} todo
 */
export function toSubmit({ to_submit: all }) {
  const sheets = all.filter(({ user_id: id }) => id !== user().id);
  return sheets.length > 0 && h(
    "section", { class: "card" },
    h("details", {}, h("summary", {}, h("h2", {}, t("team.not_submitted", { count: sheets.length }))), h(
      "ul", { class: "entries" }, sheets.map((sheet) => h(
        "li", { class: "waiting" },
        h("p", {}, h("a", { class: "link", href: `#/team/${sheet.user_id}/${placeOf(sheet)}` }, sheet.user_name),
          ` ${formatRange(sheet.first_day, sheet.last_day)}`),
        h("p", { class: "quiet" }, t("sheet.sum", {
          length: spellLength(sheet.total_seconds), entries: sheet.entries,
        })),
      )),
    )),
  );
}

/** @param {Api.Todo} todo @param {boolean} isOwn */
function entriesOf({ running_long: open, to_review: closed }, isOwn) {
  return [...open, ...closed].filter(({ user_id: id }) => (id === user().id) === isOwn);
}

/** Return the part of an address that shows the period of a timesheet. @param {Api.Sheet} sheet */
function placeOf({ period, first_day: day }) {
  return `${period.endsWith("month") ? "month" : "week"}/${day}`;
}

/** @param {Api.Todo["to_review"][number]} entry @param {Done} reload */
function entryItem({ entry_id: id, start_time: start, end_time: end, ...entry }, reload) {
  const { user_name: name, time_zone: zone } = entry;
  const correct = async () => correctEntry({ entry: await call("GET", `time-entries/${id}`), done: reload });
  const at = formatInstant(start, zone);
  return h(
    "li", { class: "waiting" },
    h("p", {}, h("strong", {}, name), ` ${entry.project_name}`),
    h("p", { class: "quiet" }, end ? `${at} – ${formatTime(end, zone)}` : t("team.running", { at })),
    h("p", { class: "actions small" }, itemButton(t("entry.correct_short"), `${name}, ${at}`, correct), h(
      "a", {
        class: "link", href: `#/team/${entry.user_id}/week/${dayOf(start, zone)}`,
        "aria-label": `${t("team.look")}: ${name}, ${at}`,
      }, t("team.look"),
    )),
  );
}
