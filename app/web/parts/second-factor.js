/** The user's second factor: add it with an authenticator app, and remove it. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { formatInstant } from "../time.js";
import { field, formDialog } from "./form.js";
import { currentPasswordField } from "./new-password.js";
import { secretField, showOnce } from "./shown-once.js";

/** @param {Api.SecondFactor} factor @param {Done} reload */
export function secondFactor(factor, reload) {
  /** @param {string} label @param {Done} onclick */
  const button = (label, onclick) => h("p", { class: "actions" }, h("button", { type: "button", onclick }, label));
  if (!factor.confirmed_at) return [h("p", {}, t("factor.none")), button(t("factor.add"), () => add(reload))];
  return [
    h("p", {}, t("factor.since", { at: formatInstant(factor.confirmed_at, user().time_zone) }), " ",
      h("span", { class: "quiet" }, t("factor.codes_left", { count: factor.recovery_codes_left }))),
    button(t("factor.remove"), () => remove(reload)),
  ];
}

/** @param {Done} reload */
function add(reload) {
  formDialog(t("factor.add"), [h("p", {}, t("factor.what")), currentPasswordField()], {
    label: t("factor.begin"), done: (enrollment) => confirm(enrollment, reload),
    submit: (body) => call("POST", "auth/totp", { body }),
  });
}

/** @param {{secret: string, qr_svg: string}} enrollment @param {Done} reload */
function confirm({ secret, qr_svg: picture }, reload) {
  const source = picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '); // which a file of its own needs
  formDialog(t("factor.add"), [
    h("p", {}, t("factor.scan")),
    h("img", { class: "qr", src: `data:image/svg+xml,${encodeURIComponent(source)}`, alt: t("factor.qr") }),
    secretField(t("factor.secret"), secret),
    codeField(t("factor.code_hint")),
  ], {
    label: t("factor.confirm"), done: (answer) => showCodes(answer, reload),
    submit: ({ code }) => call("POST", "auth/totp/confirm", { body: { code: code.replaceAll(" ", "") } }),
  });
}

/** @param {string} hint */
function codeField(hint) {
  return field("code", t("login.code"), { autocomplete: "one-time-code", required: true, maxlength: 40, hint });
}

/** @param {{recovery_codes: string[]}} answer @param {Done} reload */
function showCodes({ recovery_codes: codes }, reload) {
  const shown = secretField(t("factor.codes"), codes.join("\n"), { rows: codes.length, hint: t("factor.codes_hint") });
  showOnce(t("factor.added"), shown, reload);
}

/** @param {Done} reload */
function remove(reload) {
  formDialog(t("factor.remove"), [currentPasswordField(), codeField(t("login.code_hint"))], {
    label: t("factor.remove"), kind: "danger", done: reload,
    submit: ({ current_password: password, code }) => call("DELETE", "auth/totp", {
      body: { password, code: code.replaceAll(" ", "") },
    }),
  });
}
