/** Change a password that an admin has set, before anything else. */

import { h } from "../dom.js";
import { field, form } from "../parts/form.js";
import { checkRepeated, newPasswordFields } from "../parts/new-password.js";
import { changePassword, logOut } from "../session.js";
import { t } from "../text.js";

/** @type {Render} */
export async function render({ reload }) {
  /** @param {any} values */
  const submit = async (values) => {
    checkRepeated(values);
    await changePassword({ current_password: values.current_password, new_password: values.new_password });
    reload();
  };
  const leave = async () => {
    await logOut();
    reload();
  };
  return {
    content: h(
      "section", { class: "card narrow" },
      h("h1", { tabindex: "-1" }, t("change-password.title")), h("p", {}, t("change-password.why")),
      form(
        [
          field("current_password", t("password.current"), {
            kind: "password", autocomplete: "current-password", required: true, maxlength: 512,
          }),
          newPasswordFields(),
        ],
        {
          label: t("password.submit"), submit,
          others: [h("button", { type: "button", onclick: leave }, t("logout"))],
        },
      ),
    ),
  };
}
