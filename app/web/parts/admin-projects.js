/** The projects for admins: list, search, add, rename, code, archive. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { t } from "../text.js";
import { field, formDialog, itemButton } from "./form.js";
import { pagedList, searchForm } from "./paged-list.js";

/** @param {string} search @param {Done} reload */
export async function show(search, reload) {
  const list = await pagedList("admin/projects", search, (project) => row(project, reload), t("admin.no_projects"));
  return h(
    "section", { class: "card" },
    h("div", { class: "row" }, h("h2", {}, t("admin.part_projects")),
      h("button", { type: "button", class: "primary", onclick: () => add(reload) }, t("admin.add_project"))),
    searchForm("admin/projects", search, t("admin.search_projects")), list,
  );
}

/** @param {Api.Project} project @param {Done} reload */
function row(project, reload) {
  const archive = project.is_active
    ? itemButton(t("admin.archive"), project.name, () => archiveOrReturn(project, false, reload))
    : itemButton(t("admin.unarchive"), project.name, () => archiveOrReturn(project, true, reload));
  return h(
    "li", { class: "waiting" },
    h("p", {}, h("strong", {}, project.name), project.code && h("span", { class: "badge" }, project.code),
      !project.is_active && h("span", { class: "badge warn" }, t("admin.archived"))),
    h("p", { class: "actions small" },
      itemButton(t("admin.change"), project.name, () => change(project, reload)), archive),
  );
}

/** @param {Partial<Api.Project>} project */
function fields({ name = "", code = "" }) {
  return [
    field("name", t("admin.project_name"), { value: name, required: true, maxlength: 200, autocomplete: "off" }),
    field("code", t("admin.project_code"), {
      value: code ?? "", maxlength: 50, autocomplete: "off", hint: t("admin.project_code_hint"),
    }),
  ];
}

/** @param {Done} reload */
function add(reload) {
  formDialog(t("admin.add_project"), fields({}), {
    label: t("admin.add"), done: reload,
    submit: ({ name, code }) => call("POST", "admin/projects", { body: { name, ...(code && { code }) } }),
  });
}

/** @param {Api.Project} project @param {Done} reload */
function change(project, reload) {
  formDialog(t("admin.change_title", { name: project.name }), fields(project), {
    label: t("save"), done: reload,
    submit: (body) => call("PATCH", `admin/projects/${project.id}`, { body }),
  });
}

/** @param {Api.Project} project @param {boolean} isActive @param {Done} reload */
function archiveOrReturn(project, isActive, reload) {
  const { name } = project;
  const title = isActive ? t("admin.unarchive_title", { name }) : t("admin.archive_title", { name });
  const question = isActive ? t("admin.unarchive_question") : t("admin.archive_question");
  formDialog(title, [h("p", {}, question)], {
    label: isActive ? t("admin.unarchive") : t("admin.archive"), done: reload,
    submit: () => call("PATCH", `admin/projects/${project.id}`, { body: { is_active: isActive } }),
  });
}
