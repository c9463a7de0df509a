/** The import of users: a CSV file is checked first, and its users are added only then. */

import { Problem, call } from "../api.js";
import { announce, fill, h } from "../dom.js";
import { t } from "../text.js";
import { field, form } from "./form.js";

/** @param {Done} reload */
export function importCard(reload) {
  const result = h("div", {});
  const chosen = field("file", t("admin.import_file"), {
    kind: "file", accept: ".csv,text/csv", required: true, hint: t("admin.import_hint"), onchange: () => fill(result),
  });
  /** @param {{file: File}} values */
  const check = async ({ file }) => {
    fill(result);
    const { users } = await send(file, true, result);
    fill(result, addForm(file, users, result, reload));
  };
  return [form([chosen], { label: t("admin.import_check"), submit: check, kind: "" }), result];
}

/** @param {File} file @param {number} users @param {HTMLElement} result @param {Done} reload */
function addForm(file, users, result, reload) {
  const submit = async () => {
    const added = await send(file, false, result);
    await reload();
    announce(t("admin.import_done", { users: added.users }));
  };
  const said = h("p", { role: "status" }, t("admin.import_valid", { users }));
  return form([said], { label: t("admin.import_do"), submit });
}

/**
 * Send the file. Its errors are listed in `result`, and the form shows that there are some.
 * @param {File} file
 * @param {boolean} dryRun
 * @param {HTMLElement} result
 */
async function send(file, dryRun, result) {
  try {
    return await call("POST", "admin/users/import", { csv: file, query: { dry_run: dryRun } });
  } catch (error) {
    if (error instanceof Problem && error.errors) fill(result, errorList(error));
    throw error;
  }
}

/** @param {Problem} problem */
function errorList({ errors = [], error_count: count }) {
  return h(
    "div", { class: "panel notice" }, h("p", {}, t("admin.import_errors", { count: count ?? errors.length })),
    h("ul", {}, errors.map(({ loc: [, line, column], message }) => h(
      "li", {}, h("strong", {}, t("admin.import_line", { line })), " ", column && `${column}: `, message,
    ))),
  );
}
