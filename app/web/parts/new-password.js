/** The fields of passwords: the current one, and a new one, which is typed twice. */

import { field } from "./form.js";
import { Problem } from "../api.js";
import { t } from "../text.js";

export function currentPasswordField() {
  return field("current_password", t("password.current"), {
    kind: "password", autocomplete: "current-password", required: true, maxlength: 512,
  });
}

export function newPasswordFields() {
  const options = { kind: "password", autocomplete: "new-password", required: true, minlength: 12, maxlength: 128 };
  return [
    field("new_password", t("password.new"), { ...options, hint: t("password.hint") }),
    field("repeated", t("password.repeat"), options),
  ];
}

/**
 * Throw Problem if the two differ.
 * @param {{new_password: string, repeated: string}} values
 */
export function checkRepeated({ new_password, repeated }) {
  if (new_password !== repeated) throw new Problem({ code: "passwords_differ" });
}
