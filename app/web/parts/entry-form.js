/** The dialog to add an entry, or to correct one. Times are local times of the user or of the entry. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { fromInput, toInput } from "../time.js";
import { field, formDialog } from "./form.js";

/**
 * Read the projects that may be booked, with the one of the entry even if it is archived.
 * @param {Api.Project} [also]
 */
export async function readProjects(also) {
  const projects = await call("GET", "projects", { query: { limit: 1000 } });
  const isMissing = also && !projects.some((each) => each.id === also.id);
  return isMissing ? [...projects, also] : projects;
}

/**
 * Add time that was not clocked. `values` fill the form in: start, end (instants), project_id, description, reason.
 * For another user as `owner` the API wants a reason.
 * @param {{values: any, done: Done, note?: string, owner?: Api.User}} options
 */
export async function addEntry({ values, done, note, owner = user() }) {
  const projects = await readProjects();
  const zone = owner.time_zone;
  const isOwn = owner.id === user().id;
  const key = crypto.randomUUID();
  /** @param {any} given */
  const submit = async (given) => {
    await call("POST", "time-entries", {
      key,
      body: {
        project_id: Number(given.project_id), description: given.description,
        start_time: fromInput(given.start, zone), end_time: fromInput(given.end, zone),
        ...(given.reason ? { reason: given.reason } : {}), ...(!isOwn && { user_id: owner.id }),
      },
    });
  };
  show(t("entry.add"), { projects, zone, values, submit, done, note, reasonIsRequired: !isOwn });
}

/**
 * Correct an entry. Only what has changed is sent, with the version that was read.
 * @param {{entry: Api.OpenEntry, values?: any, done: Done, note?: string}} options
 */
export async function correctEntry({ entry, values = {}, done, note }) {
  const projects = await readProjects(entry.project);
  const zone = entry.time_zone;
  const before = {
    start: toInput(entry.start_time, zone), end: entry.end_time ? toInput(entry.end_time, zone) : "",
    project_id: String(entry.project_id), description: entry.description,
  };
  /** @param {any} given */
  const submit = async (given) => {
    const body = {
      ...(given.start !== before.start && { start_time: fromInput(given.start, zone) }),
      ...(given.end && given.end !== before.end && { end_time: fromInput(given.end, zone) }),
      ...(given.project_id !== before.project_id && { project_id: Number(given.project_id) }),
      ...(given.description !== before.description && { description: given.description }),
      ...(entry.needs_review && entry.end_time && { needs_review: false }),
      reason: given.reason,
    };
    await call("PATCH", `time-entries/${entry.id}`, { body, version: entry.version });
  };
  const filled = {
    start: entry.start_time, end: entry.end_time, project_id: entry.project_id, description: entry.description,
    ...values,
  };
  show(t("entry.correct"), {
    projects, zone, values: filled, submit, done, note, reasonIsRequired: true, mayStayOpen: !entry.end_time,
  });
}

/**
 * @param {string} title
 * @param {{projects: Api.Project[], zone: string, values: any, submit: (given: any) => Promise<void>, done: Done,
 *   note?: string, reasonIsRequired: boolean, mayStayOpen?: boolean}} options
 */
function show(title, { projects, zone, values, submit, done, note, reasonIsRequired, mayStayOpen = false }) {
  const content = [
    note && h("p", {}, note),
    projectField(projects, values.project_id),
    h(
      "div", { class: "pair" },
      timeField("start", t("entry.start"), values.start && toInput(values.start, zone), true),
      timeField("end", t("entry.end"), values.end && toInput(values.end, zone), !mayStayOpen),
    ),
    zone !== user().time_zone && h("p", { class: "hint" }, t("entry.zone", { zone })),
    descriptionField(values.description),
    field("reason", t("entry.reason"), {
      value: values.reason ?? "", maxlength: 500, required: reasonIsRequired, hint: t("entry.reason_hint"),
    }),
  ];
  formDialog(title, content, { label: t("save"), submit, done });
}

/** @param {Api.Project[]} projects @param {number} [chosen] */
export function projectField(projects, chosen) {
  const options = projects.map((each) => [each.id, each.code ? `${each.name} (${each.code})` : each.name]);
  const isThere = projects.some((each) => each.id === chosen);
  return field("project_id", t("entry.project"), {
    kind: "select", required: true, options, value: isThere ? chosen : projects[0]?.id,
  });
}

/** @param {string} [value] */
export function descriptionField(value) {
  return field("description", t("entry.description"), { value: value ?? "", maxlength: 2000, autocomplete: "off" });
}

/** @param {string} name @param {string} label @param {string} given @param {boolean} required */
function timeField(name, label, given, required) {
  const value = given || "";
  const step = value.length > 16 ? 1 : 60;
  return field(name, label, { kind: "datetime-local", step, required, value });
}
