/** Set a password with the token of a password link, as in #/set-password/ettl_... */

import { call } from "../api.js";
import { fill, h } from "../dom.js";
import { form } from "../parts/form.js";
import { checkRepeated, newPasswordFields } from "../parts/new-password.js";
import { t } from "../text.js";

/** @type {Render} */
export async function render({ rest: [token = ""] }) {
  const card = h("section", { class: "card narrow" });
  /** @param {any} values */
  const submit = async (values) => {
    checkRepeated(values);
    await call("POST", "auth/password/set", { body: { token, new_password: values.new_password }, page: true });
    fill(
      card, h("h1", { tabindex: "-1" }, t("set-password.done")),
      h("p", {}, h("a", { class: "button primary", href: "#/clock" }, t("login.submit"))),
    );
    card.querySelector("h1")?.focus();
  };
  return {
    content: fill(
      card, h("h1", { tabindex: "-1" }, t("set-password.title")),
      form(newPasswordFields(), { label: t("password.submit"), submit }),
    ),
  };
}
