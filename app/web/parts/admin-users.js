/** The users for admins: list, search, and what may be done to each now: `can` of the API says it. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { t } from "../text.js";
import { importCard } from "./admin-import.js";
import { addUser, changeUser, managerOf, readManagers } from "./admin-user-form.js";
import { formDialog, itemButton } from "./form.js";
import { card } from "./panels.js";
import { pagedList, searchForm } from "./paged-list.js";
import { secretField, showOnce } from "./shown-once.js";
import { formatInstant } from "../time.js";
import { user as self } from "../session.js";

/** @param {string} search @param {Done} reload */
export async function show(search, reload) {
  const managers = await readManagers();
  const list = await pagedList("admin/users", search, (user) => row(user, managers, reload), t("admin.no_users"));
  /** @param {Api.ManagedUser} user */
  const added = async (user) => {
    await reload();
    askForLink(user);
  };
  const add = () => addUser(managers, added);
  return [
    h(
      "section", { class: "card" },
      h("div", { class: "row" }, h("h2", {}, t("admin.part_users")),
        h("button", { type: "button", class: "primary", onclick: add }, t("admin.add_user"))),
      searchForm("admin/users", search, t("admin.search_users")), list,
    ),
    card("admin.import_title", importCard(reload)),
  ];
}

/** @param {Api.User} user */
function fullName({ first_name, last_name }) {
  return `${first_name} ${last_name}`;
}

/** @param {Api.ManagedUser} user @param {Api.ManagedUser[]} managers @param {Done} reload */
function row(user, managers, reload) {
  const name = fullName(user);
  const manager = managerOf(user, managers);
  /** @type {[Api.ManagedUser["can"][number], string, Done][]} */
  const actions = [
    ["update", "admin.change", () => changeUser(user, managers, reload)],
    ["create_password_link", "admin.link", () => askForLink(user)],
    ["deactivate", "admin.deactivate", () => deactivate(user, reload)],
    ["activate", "admin.activate", () => activate(user, reload)],
  ];
  const possible = actions.filter(([action]) => user.can.includes(action));
  return h(
    "li", { class: "waiting" },
    h("p", {}, h("strong", {}, name), h("span", { class: "badge" }, t(`admin.role_${user.role}`)),
      !user.is_active && h("span", { class: "badge warn" }, t("admin.deactivated"))),
    h("p", { class: "quiet" }, user.email, manager && ` · ${t("admin.managed_by", { name: fullName(manager) })}`),
    h("p", { class: "actions small" }, possible.map(([, label, act]) => itemButton(t(label), name, act))),
  );
}

/**
 * Make a password link. It is sent by e-mail, or shown once if the server has no mail server.
 * @param {Api.ManagedUser} user
 */
function askForLink(user) {
  const question = h("p", {}, t("admin.link_question", { name: fullName(user) }));
  formDialog(t("admin.link_title"), [question], {
    label: t("admin.link_make"), done: (answer) => showLink(user, answer),
    submit: () => call("POST", `admin/users/${user.id}/password-link`),
  });
}

/** @param {Api.ManagedUser} user @param {Api.PasswordLink} answer */
function showLink(user, { sent, link, token, expires_at }) {
  const address = link ?? new URL(`#/set-password/${token}`, document.baseURI).href;
  const until = h("p", {}, t("admin.link_until", { at: formatInstant(expires_at, self().time_zone) }));
  showOnce(t("admin.link_title"), [
    sent ? h("p", {}, t("admin.link_sent", { email: user.email }))
      : secretField(t("admin.link_address"), address, { hint: t("admin.link_hint", { name: fullName(user) }) }),
    until,
  ]);
}

/** @param {Api.ManagedUser} user @param {Done} reload */
function deactivate(user, reload) {
  const name = fullName(user);
  formDialog(t("admin.deactivate_title", { name }), [h("p", {}, t("admin.deactivate_question"))], {
    label: t("admin.deactivate"), kind: "danger",
    submit: () => call("PUT", `admin/users/${user.id}/deactivate`),
    done: async ({ active_reports: count }) => {
      await reload();
      if (count > 0) showOnce(t("admin.reports_title"), h("p", {}, t("admin.reports_stay", { name, count })));
    },
  });
}

/** @param {Api.ManagedUser} user @param {Done} reload */
function activate(user, reload) {
  const question = h("p", {}, t("admin.activate_question"));
  formDialog(t("admin.activate_title", { name: fullName(user) }), [question], {
    label: t("admin.activate"), done: reload,
    submit: () => call("PUT", `admin/users/${user.id}/activate`),
  });
}
