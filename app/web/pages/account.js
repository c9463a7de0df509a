/** The own account: time zone, password, second factor, login sessions, API tokens, own data, log out. */

import { Problem, call } from "../api.js";
import { fill, h } from "../dom.js";
import { tokenList } from "../parts/api-tokens.js";
import { form } from "../parts/form.js";
import { checkRepeated, currentPasswordField, newPasswordFields } from "../parts/new-password.js";
import { card } from "../parts/panels.js";
import { secondFactor } from "../parts/second-factor.js";
import { zoneField } from "../parts/zone-field.js";
import { changeAccount, changePassword, logOut, user } from "../session.js";
import { t } from "../text.js";
import { formatInstant } from "../time.js";

/** @type {Render} */
export async function render({ reload }) {
  const [factor, lists] = await Promise.all([call("GET", "auth/totp"), readLists()]);
  const { first_name, last_name, email } = user();
  const leave = async () => {
    await logOut();
    reload();
  };
  return {
    content: [
      h(
        "div", { class: "head" },
        h("div", {}, h("h1", { tabindex: "-1" }, `${first_name} ${last_name}`), h("p", { class: "quiet" }, email)),
        form([], { label: t("logout"), submit: leave, kind: "" }),
      ),
      lists && [card("account.zone_title", zoneForm()), card("account.password_title", passwordForm(reload))],
      card("factor.title", secondFactor(factor, reload)),
      lists && [
        card("account.sessions_title", sessionList(lists.sessions, reload)),
        card("token.title", tokenList(lists.tokens, reload)),
        card("account.data_title", h("p", {}, t("account.data")), form([], {
          label: t("account.download"), submit: download, kind: "",
        })),
      ],
    ],
  };
}

/** Read the lists of the page, or nothing if the user must add a second factor before anything else. */
async function readLists() {
  try {
    const [sessions, tokens] = await Promise.all([call("GET", "auth/sessions"), call("GET", "auth/api-tokens")]);
    return { sessions, tokens };
  } catch (error) {
    if (error instanceof Problem && error.code === "second_factor_required") return null;
    throw error;
  }
}

function zoneForm() {
  const said = h("p", { class: "message", role: "status" });
  /** @param {{time_zone: string}} values */
  const submit = async ({ time_zone }) => {
    await changeAccount({ time_zone });
    fill(said, t("saved"));
  };
  return [form([zoneField(user().time_zone, t("account.zone_hint"))], { label: t("save"), submit, kind: "" }), said];
}

/** @param {Done} reload */
function passwordForm(reload) {
  /** @param {any} values */
  const submit = async (values) => {
    checkRepeated(values);
    await changePassword({ current_password: values.current_password, new_password: values.new_password });
    await reload();
  };
  return form([currentPasswordField(), newPasswordFields()], { label: t("password.submit"), submit, kind: "" });
}

/** @param {Api.LoginSession[]} sessions @param {Done} reload */
function sessionList(sessions, reload) {
  /** @param {number} id */
  const end = (id) => async () => {
    await call("DELETE", `auth/sessions/${id}`);
    await reload();
  };
  return h("ul", { class: "entries" }, sessions.map((each) => h(
    "li", { class: "waiting" },
    h("p", { class: "device", title: each.device }, deviceName(each.device),
      each.current && h("span", { class: "badge" }, t("account.here"))),
    h("p", { class: "quiet" }, t("account.last_used", {
      at: formatInstant(each.last_used_at, user().time_zone), address: each.address,
    })),
    !each.current && form([], { label: t("account.end_session"), submit: end(each.id), kind: "link" }),
  )));
}

/**
 * Return a short name of a User-Agent header, such as "Firefox, Android", or the header itself.
 * @param {string} header
 */
function deviceName(header) {
  /** @param {string[]} names */
  const nameIn = (names) => names.find((each) => header.includes(each));
  const browser = nameIn(["Edg", "OPR", "Firefox", "Chrome", "Safari"]); // each also names those behind it
  const system = nameIn(["Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux"]);
  if (browser && system) return `${{ Edg: "Edge", OPR: "Opera" }[browser] ?? browser}, ${system}`;
  return header || t("account.unknown_device");
}

async function download() {
  const data = await call("GET", "auth/me/export");
  const address = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
  const link = h("a", { href: address, download: "my-data.json" });
  link.click();
  URL.revokeObjectURL(address);
}
