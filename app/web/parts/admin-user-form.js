/** The dialogs to add and to change a user. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user as self } from "../session.js";
import { t } from "../text.js";
import { field, formDialog } from "./form.js";
import { zoneField } from "./zone-field.js";

const ROLES = ["employee", "manager", "admin"];
const FIELDS = /** @type {const} */ (["email", "first_name", "last_name", "role", "time_zone"]);

/** Read all who can be a manager, also those who are deactivated: their reports keep them. */
export async function readManagers() {
  /** @param {Api.ManagedUser["role"]} role */
  const read = (role) => call("GET", "admin/users", { query: { role, limit: 1000 } });
  return (await Promise.all([read("manager"), read("admin")])).flat();
}

/** @param {Partial<Api.ManagedUser>} user @param {Api.ManagedUser[]} managers */
export function managerOf({ manager_id: id }, managers) {
  return managers.find((each) => each.id === id);
}

/** @param {Api.ManagedUser[]} managers @param {(user: Api.ManagedUser) => unknown} done */
export function addUser(managers, done) {
  /** @param {any} given */
  const submit = ({ manager_id: manager, ...body }) => call("POST", "admin/users", {
    body: { ...body, ...(manager && { manager_id: Number(manager) }) },
  });
  /** @type {Partial<Api.ManagedUser>} */
  const start = { role: "employee", manager_id: null, time_zone: self().time_zone };
  formDialog(t("admin.add_user"), fields(start, managers), { label: t("admin.add"), submit, done });
}

/**
 * Only what has changed is sent. The manager has operations of its own. A role that is fixed is not in the form.
 * @param {Api.ManagedUser} user
 * @param {Api.ManagedUser[]} managers
 * @param {Done} done
 */
export function changeUser(user, managers, done) {
  const path = /** @type {const} */ (`admin/users/${user.id}`);
  /** @param {any} given */
  const submit = async (given) => {
    const changed = FIELDS.filter((name) => name in given && given[name] !== user[name]);
    if (changed.length > 0) {
      const body = Object.fromEntries(changed.map((name) => [name, given[name]]));
      Object.assign(user, await call("PATCH", path, { body }));
    }
    const manager = given.manager_id ? Number(given.manager_id) : null;
    if (manager === user.manager_id) return;
    if (manager === null) await call("DELETE", `${path}/manager`);
    else await call("PUT", `${path}/assign-manager`, { query: { manager_id: manager } });
  };
  const title = t("admin.change_title", { name: `${user.first_name} ${user.last_name}` });
  formDialog(title, fields(user, managers), { label: t("save"), submit, done });
}

/**
 * The choice of a manager. The present one is always in it, or saving would remove them.
 * @param {Partial<Api.ManagedUser>} user
 * @param {Api.ManagedUser[]} managers
 */
function managerField(user, managers) {
  const possible = managers.filter((each) => (each.is_active && each.id !== user.id) || each.id === user.manager_id);
  const options = possible.map((each) => [each.id, `${each.first_name} ${each.last_name} (${each.email})`]);
  if (user.manager_id && !managerOf(user, managers)) options.push([user.manager_id, `#${user.manager_id}`]);
  return field("manager_id", t("admin.manager"), {
    kind: "select", options: [["", t("admin.no_manager")], ...options], value: user.manager_id ?? "",
  });
}

/** @param {Partial<Api.ManagedUser>} user @param {Api.ManagedUser[]} managers */
function fields(user, managers) {
  const isLastAdmin = user.can?.includes("update_role") === false;
  const name = { required: true, maxlength: 100, autocomplete: "off" };
  return [
    field("email", t("admin.email"), {
      kind: "email", required: true, maxlength: 254, autocomplete: "off", value: user.email ?? "",
    }),
    h(
      "div", { class: "pair" },
      field("first_name", t("admin.first_name"), { ...name, value: user.first_name ?? "" }),
      field("last_name", t("admin.last_name"), { ...name, value: user.last_name ?? "" }),
    ),
    field("role", t("admin.role"), {
      kind: "select", options: ROLES.map((role) => [role, t(`admin.role_${role}`)]), value: user.role,
      disabled: isLastAdmin, hint: isLastAdmin ? t("problem.last_admin") : "",
    }),
    managerField(user, managers),
    zoneField(user.time_zone ?? self().time_zone),
  ];
}
