/** The actions on a timesheet that need a text: return, reopen, and submit for another user. */

import { call } from "../api.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { formatRange } from "../time.js";
import { field, formDialog, itemButton } from "./form.js";

const DIALOGS = {
  submit: { kind: "primary", name: "reason", label: "entry.reason", hint: "team.submit_hint" },
  reject: { kind: "danger", name: "comment", label: "team.comment", hint: "team.comment_hint" },
  reopen: { kind: "primary", name: "reason", label: "entry.reason", hint: "team.reopen_hint" },
};

/**
 * Those of the actions that the API says are possible now. Entries that prevent a submission are corrected first.
 * @template {Api.Sheet["can"][number]} Action
 * @param {Api.Sheet} sheet
 * @param {Action[]} actions
 */
export function possible(sheet, actions) {
  return actions.filter((each) => sheet.can.includes(each) && (each !== "submit" || !sheet.blocking_entries?.length));
}

/**
 * A button for each of these actions that is possible now.
 * @param {Api.Sheet} sheet
 * @param {Done} reload
 */
export function decisions(sheet, reload) {
  const days = formatRange(sheet.first_day, sheet.last_day);
  const actions = /** @type {(keyof DIALOGS)[]} */ (Object.keys(DIALOGS));
  const isOwn = sheet.user_id === user().id;
  return possible(sheet, actions).filter((action) => !(isOwn && action === "submit")).map((action) => itemButton(
    t(`team.${action}`), sheet.user_name, () => decide(sheet, action, days, reload),
  ));
}

/** @param {Api.Sheet} sheet @param {keyof DIALOGS} action @param {string} days @param {Done} reload */
function decide(sheet, action, days, reload) {
  const { kind, name, label, hint } = DIALOGS[action];
  const text = field(name, t(label), { required: true, maxlength: 500, hint: t(hint) });
  formDialog(t(`team.${action}_title`, { name: sheet.user_name, days }), [text], {
    label: t(`team.${action}`), kind, done: reload,
    submit: (body) => call("POST", `timesheets/${sheet.user_id}/${sheet.first_day}/${action}`, {
      body, version: sheet.version,
    }),
  });
}
