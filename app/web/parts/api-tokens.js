/** The user's API tokens: list, create, revoke. A new one is shown once. */

import { Problem, call } from "../api.js";
import { h } from "../dom.js";
import { isAdmin, user } from "../session.js";
import { t } from "../text.js";
import { addDays, dayOf, formatInstant, fromInput, now } from "../time.js";
import { field, formDialog, itemButton } from "./form.js";
import { currentPasswordField } from "./new-password.js";
import { emptyPanel } from "./panels.js";
import { secretField, showOnce } from "./shown-once.js";

const SCOPES = /** @type {Api.ApiToken["scopes"]} */ (["entries:read", "entries:write", "reports:read"]);
const DAYS = 90;

/** @param {Api.ApiToken[]} tokens @param {Done} reload */
export function tokenList(tokens, reload) {
  return [
    tokens.length > 0 ? h("ul", { class: "entries" }, tokens.map((token) => item(token, reload)))
      : emptyPanel(t("token.none")),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: () => create(reload) }, t("token.create"))),
  ];
}

/** @param {Api.ApiToken} token @param {Done} reload */
function item(token, reload) {
  const hasExpired = Date.parse(token.expires_at) <= now().getTime();
  const facts = [
    token.scopes.join(", "), t("token.until", { at: atHome(token.expires_at) }),
    token.last_used_at ? t("token.used", { at: atHome(token.last_used_at) }) : t("token.never_used"),
  ];
  return h(
    "li", { class: "waiting" },
    h("p", {}, h("strong", {}, token.name), hasExpired && h("span", { class: "badge warn" }, t("token.expired"))),
    h("p", { class: "quiet" }, facts.join(" · ")),
    h("p", { class: "actions small" }, itemButton(t("token.revoke"), token.name, () => revoke(token, reload))),
  );
}

/** @param {Instant} instant */
function atHome(instant) {
  return formatInstant(instant, user().time_zone);
}

/**
 * The scopes that the user's role may give.
 * @returns {Api.ApiToken["scopes"]}
 */
function scopes() {
  return isAdmin() ? [...SCOPES, "admin"] : SCOPES;
}

/** @param {Done} reload */
function create(reload) {
  const day = addDays(dayOf(now(), user().time_zone), DAYS);
  const boxes = scopes().map((scope) => h(
    "label", {}, h("input", { type: "checkbox", name: `scope-${scope}` }), h("span", {}, t(`token.scope_${scope}`)),
  ));
  formDialog(t("token.create"), [
    field("name", t("token.name"), { required: true, maxlength: 100, autocomplete: "off", hint: t("token.name_hint") }),
    h("fieldset", { class: "waiting" }, h("legend", {}, t("token.scopes")), boxes),
    field("day", t("token.day"), { kind: "date", required: true, value: day }),
    currentPasswordField(),
  ], { label: t("token.create"), submit: request, done: ({ token }) => showToken(token, reload) });
}

/** @param {any} given */
function request(given) {
  const chosen = scopes().filter((scope) => given[`scope-${scope}`]);
  if (chosen.length === 0) throw new Problem({ code: "scope_missing" });
  return call("POST", "auth/api-tokens", {
    body: {
      name: given.name, scopes: chosen, expires_at: fromInput(`${given.day}T23:59`, user().time_zone),
      current_password: given.current_password,
    },
  });
}

/** @param {string} token @param {Done} reload */
function showToken(token, reload) {
  showOnce(t("token.created"), secretField(t("token.token"), token, { hint: t("token.once") }), reload);
}

/** @param {Api.ApiToken} token @param {Done} reload */
function revoke(token, reload) {
  const question = h("p", {}, t("token.revoke_question"));
  formDialog(t("token.revoke_title", { name: token.name }), [question], {
    label: t("token.revoke"), kind: "danger", done: reload,
    submit: () => call("DELETE", `auth/api-tokens/${token.id}`),
  });
}
