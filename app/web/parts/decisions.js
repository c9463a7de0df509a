/** What managers and admins decide about a timesheet: approve, return, reopen. */

import { call } from "../api.js";
import { t } from "../text.js";
import { formatRange } from "../time.js";
import { field, formDialog, itemButton } from "./form.js";

const DIALOGS = {
  reject: { kind: "danger", name: "comment", label: "team.comment", hint: "team.comment_hint" },
  reopen: { kind: "primary", name: "reason", label: "entry.reason", hint: "team.reopen_hint" },
};

/**
 * A button for each decision that needs a text, if the API says that it is possible now.
 * @param {Api.Sheet} sheet
 * @param {Done} reload
 */
export function decisions(sheet, reload) {
  const days = formatRange(sheet.first_day, sheet.last_day);
  return Object.keys(DIALOGS).filter((action) => sheet.can.includes(action)).map((action) => itemButton(
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
