/** Log in with e-mail and password, and with a code if there is a second factor. */

import { Problem } from "../api.js";
import { fill, h } from "../dom.js";
import { field, form } from "../parts/form.js";
import { icon } from "../parts/icons.js";
import { logIn } from "../session.js";
import { t } from "../text.js";

/** @type {Render} */
export async function render({ notice, reload }) {
  const second = h("div");
  /** @param {Record<string, string>} values */
  const submit = async ({ username, password, otp }) => {
    try {
      await logIn({ username, password, ...(otp ? { otp: otp.replaceAll(" ", "") } : {}) });
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "otp_required") throw error;
      askForCode(second);
      return;
    }
    reload();
  };
  return {
    content: h(
      "section", { class: "card narrow" },
      h("h1", { tabindex: "-1" }, t("login.title")),
      notice && h("p", { class: "message", role: "status" }, icon("alert"), h("span", {}, notice)),
      form(
        [
          field("username", t("login.email"), {
            kind: "email", autocomplete: "username", required: true, maxlength: 254, autofocus: true,
          }),
          field("password", t("login.password"), {
            kind: "password", autocomplete: "current-password", required: true, maxlength: 512,
          }),
          second,
        ],
        { label: t("login.submit"), submit },
      ),
      h("p", { class: "quiet" }, t("login.help")),
    ),
  };
}

/** @param {HTMLElement} place */
function askForCode(place) {
  const code = field("otp", t("login.code"), {
    autocomplete: "one-time-code", required: true, maxlength: 40, hint: t("login.code_hint"),
  });
  fill(place, code);
  code.querySelector("input")?.focus();
}
