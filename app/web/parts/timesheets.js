/** The timesheets of some days: their state, and the actions that the API says are possible now. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { formatInstant, formatRange, formatTime, spellLength } from "../time.js";
import { decisions } from "./decisions.js";
import { correctEntry } from "./entry-form.js";
import { form } from "./form.js";

const OWN_ACTIONS = /** @type {("submit" | "withdraw")[]} */ (["submit", "withdraw"]);

/**
 * The timesheets that have begun. Of a period that is over, the entries that prevent its submission are named with it.
 * @param {Api.Sheet[]} sheets newest first
 * @param {Api.Entry[]} entries those that the page shows
 * @param {string} today
 * @param {Done} reload
 */
export async function timesheetList(sheets, entries, today, reload) {
  const begun = sheets.filter((sheet) => sheet.first_day <= today);
  if (begun.length === 0) return null;
  const detailed = await Promise.all(begun.map((sheet) => (isDue(sheet, today) ? call("GET", pathOf(sheet)) : sheet)));
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
  return isOwn(sheet) && sheet.last_day < today && (sheet.status === "open" || sheet.status === "rejected");
}

/** @param {Api.Sheet} sheet */
function isOwn(sheet) {
  return sheet.user_id === user().id;
}

/** @param {Api.Sheet} sheet @returns {`timesheets/${number}/${string}`} */
function pathOf(sheet) {
  return `timesheets/${sheet.user_id}/${sheet.first_day}`;
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
    h("p", {}, t("sheet.sum", { length: spellLength(sheet.total_seconds), entries: sheet.entries }), " ",
      sheet.submitted_at && h("span", { class: "quiet" }, t("sheet.submitted_at", {
        at: formatInstant(sheet.submitted_at, sheet.time_zone),
      }))),
    sheet.comment && h("p", { class: "comment" }, t("sheet.comment", { comment: sheet.comment })),
    blocking(sheet, entries, reload),
    isOwn(sheet) && ownActions(sheet).map((action) => act(sheet, action, reload)),
    h("p", { class: "actions small" }, decisions(sheet, reload)), // of an own one too, if nobody else could
  );
}

/** @param {Api.Sheet} sheet */
function ownActions(sheet) {
  return OWN_ACTIONS.filter((action) => sheet.can.includes(action))
    .filter((action) => action !== "submit" || !sheet.blocking_entries?.length);
}

/** @param {Api.Sheet} sheet @param {"submit" | "withdraw"} action @param {Done} reload */
function act(sheet, action, reload) {
  const submit = async () => {
    await call("POST", `${pathOf(sheet)}/${action}`, { version: sheet.version });
    await reload();
  };
  return form([], { label: t(`sheet.${action}`), submit, kind: action === "submit" ? "primary" : "" });
}

/** @param {Api.Sheet} sheet @param {Api.Entry[]} entries @param {Done} reload */
function blocking(sheet, entries, reload) {
  if (!sheet.blocking_entries?.length) return null;
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
