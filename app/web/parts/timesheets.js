/** The timesheets of some days: their state, and the actions that the API says are possible now. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { formatInstant, formatRange, formatTime, spellLength } from "../time.js";
import { decisions, possible } from "./decisions.js";
import { correctEntry } from "./entry-form.js";
import { form } from "./form.js";

/** @typedef {"submit" | "withdraw" | "approve"} Action without a text */

/**
 * The timesheets that have begun. Of a period that is over, the entries that prevent its submission are named with it.
 * @param {Api.User} owner
 * @param {Api.Sheet[]} sheets of the user who is logged in, newest first; everybody's timesheets have the same days
 * @param {Api.Entry[]} entries those that the page shows
 * @param {string} today
 * @param {Done} reload
 */
export async function timesheetList(owner, sheets, entries, today, reload) {
  const begun = sheets.filter((sheet) => sheet.first_day <= today);
  if (begun.length === 0) return null;
  const detailed = await Promise.all(begun.map((sheet) => (
    owner.id === user().id && !isDue(sheet, today) ? sheet : call("GET", `timesheets/${owner.id}/${sheet.first_day}`)
  )));
  return h(
    "section", { class: "card" }, h("h2", {}, t("sheet.heading")),
    h("ul", { class: "sheets" }, detailed.map((sheet) => item(sheet, entries, reload))),
  );
}

/**
 * True if the user is expected to submit it now.
 * @param {Api.Sheet} sheet
 * @param {string} today
 */
function isDue(sheet, today) {
  return sheet.last_day < today && (sheet.status === "open" || sheet.status === "rejected");
}

/** @param {Api.Sheet} sheet @param {Api.Entry[]} entries @param {Done} reload */
function item(sheet, entries, reload) {
  return h(
    "li", {},
    h(
      "div", { class: "row" },
      h("h3", {}, formatRange(sheet.first_day, sheet.last_day)),
      h("span", { class: `badge status-${sheet.status}` }, t(`sheet.${sheet.status}`)),
    ),
    h("p", {}, t("sheet.sum", { length: spellLength(sheet.total_seconds), entries: sheet.entries }),
      sheet.submitted_at && h("span", { class: "quiet" }, " · ", t("sheet.submitted_at", {
        at: formatInstant(sheet.submitted_at, sheet.time_zone),
      }))),
    sheet.comment && h("p", { class: "comment" }, t("sheet.comment", { comment: sheet.comment })),
    blocking(sheet, entries, reload),
    h("div", { class: "actions" }, actions(sheet).map((action) => act(sheet, action, reload)),
      decisions(sheet, reload)), // of an own one too, if nobody else could
  );
}

/** @param {Api.Sheet} sheet @returns {Action[]} */
function actions(sheet) {
  return possible(sheet, sheet.user_id === user().id ? ["submit", "withdraw", "approve"] : ["approve"]);
}

/** @param {Api.Sheet} sheet @param {Action} action @param {Done} reload */
function act(sheet, action, reload) {
  const submit = async () => {
    await call("POST", `timesheets/${sheet.user_id}/${sheet.first_day}/${action}`, { version: sheet.version });
    await reload();
  };
  return form([], { label: t(`sheet.${action}`), submit, kind: action === "withdraw" ? "" : "primary" });
}

/** @param {Api.Sheet} sheet @param {Api.Entry[]} entries @param {Done} reload */
function blocking(sheet, entries, reload) {
  if (!sheet.blocking_entries?.length || !sheet.can.includes("submit")) return null;
  return h(
    "div", { class: "panel notice" }, h("p", {}, t("sheet.blocked")),
    h("ul", {}, sheet.blocking_entries.map(({ entry_id, type }) => blockingEntry(entry_id, type, entries, reload))),
  );
}

/** @param {number} id @param {string} type @param {Api.Entry[]} entries @param {Done} reload */
function blockingEntry(id, type, entries, reload) {
  const listed = entries.find((each) => each.id === id);
  const open = async () => {
    const entry = listed ?? await call("GET", `time-entries/${id}`);
    await correctEntry({ entry, done: reload });
  };
  const day = listed ? formatInstant(listed.start_time, listed.time_zone) : `#${id}`;
  const end = listed?.end_time ? ` – ${formatTime(listed.end_time, listed.time_zone)}` : "";
  return h(
    "li", {}, h("button", { type: "button", class: "link", onclick: open }, `${day}${end}`), " ",
    h("span", { class: "quiet" }, t(`sheet.blocked_${type}`)),
  );
}
