/** The entries of some days, newest day first, with what the user may do to each: `can` of the API says it. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { dayOf, formatDay, formatInstant, formatLength, formatTime } from "../time.js";
import { correctEntry } from "./entry-form.js";
import { field, formDialog, itemButton, openDialog } from "./form.js";
import { icon } from "./icons.js";
import { errorLine } from "./panels.js";

const FIELDS = ["start_time", "end_time", "project_id", "description", "needs_review"];

/** @param {Api.Entry[]} entries newest first @param {Day[]} days @param {Done} reload */
export function entryList(entries, days, reload) {
  const totals = Object.fromEntries(days.map((each) => [each.date, each.total_seconds]));
  const byDay = Map.groupBy(entries, (each) => dayOf(each.start_time, each.time_zone));
  return [...byDay].map(([date, ofDay]) => h(
    "section", { class: "day-entries" },
    h("h3", {}, h("span", {}, formatDay(date)), h("span", { class: "number" }, formatLength(totals[date] ?? 0))),
    h("ul", { class: "entries" }, ofDay.map((entry) => row(entry, reload))),
  ));
}

/** @param {Api.Entry} entry @param {Done} reload */
function row(entry, reload) {
  const { time_zone: zone } = entry;
  const seconds = entry.end_time ? (Date.parse(entry.end_time) - Date.parse(entry.start_time)) / 1000 : null;
  const end = entry.end_time ? formatTime(entry.end_time, zone) : t("entry.running");
  const times = `${formatTime(entry.start_time, zone)} – ${end}`;
  return h(
    "li", {},
    h("p", { class: "times" }, times, zone !== user().time_zone && h("span", { class: "quiet" }, ` ${zone}`)),
    h("p", { class: "what" }, h("strong", {}, entry.project.name),
      entry.description && h("span", { class: "quiet" }, ` ${entry.description}`), badges(entry)),
    h("p", { class: "number" }, seconds === null ? "" : formatLength(seconds)),
    h("p", { class: "actions small" }, actions(entry, times, reload)),
  );
}

/** @param {Api.Entry} entry */
function badges(entry) {
  return [
    entry.needs_review && h("span", { class: "badge warn" }, t("entry.needs_review")),
    entry.timesheet_id && h("span", { class: "badge" }, icon("lock"), t("entry.locked")),
  ];
}

/** @param {Api.Entry} entry @param {string} times @param {Done} reload */
function actions(entry, times, reload) {
  /** @param {string} key @param {Done} onclick */
  const button = (key, onclick) => itemButton(t(key), times, onclick);
  return [
    entry.can?.includes("change") && button("entry.correct_short", () => correctEntry({ entry, done: reload })),
    entry.can?.includes("delete") && button("entry.delete", () => deleteEntry(entry, times, reload)),
    button("entry.history", () => showHistory(entry, times)),
  ];
}

/** @param {Api.Entry} entry @param {string} times @param {Done} reload */
function deleteEntry(entry, times, reload) {
  const content = [
    h("p", {}, t("entry.delete_question", { times, project: entry.project.name })),
    field("reason", t("entry.reason"), { required: true, maxlength: 500, hint: t("entry.reason_hint") }),
  ];
  formDialog(t("entry.delete_title"), content, {
    label: t("entry.delete"), kind: "danger", done: reload,
    submit: ({ reason }) => call("DELETE", `time-entries/${entry.id}`, { query: { reason }, version: entry.version }),
  });
}

/** @param {Api.Entry} entry @param {string} times */
async function showHistory(entry, times) {
  const events = await call("GET", `time-entries/${entry.id}/history`).catch((error) => error);
  openDialog(`${t("entry.history")}: ${times}`, (_close, cancel) => {
    cancel.textContent = t("close");
    return [
      Array.isArray(events) ? h("ol", { class: "history" }, events.map((each) => change(each, entry)))
        : errorLine(events),
      h("p", { class: "actions" }, cancel),
    ];
  });
}

/** @param {Api.Change} event @param {Api.Entry} entry */
function change(event, { time_zone: zone, project }) {
  const actor = event.actor ? `${event.actor.first_name} ${event.actor.last_name}` : t("history.command");
  const names = FIELDS.filter((name) => event.after?.[name] !== undefined || event.before?.[name] !== undefined);
  return h(
    "li", {},
    h("p", {}, h("strong", {}, t(`history.${event.action}`)), " ",
      h("span", { class: "quiet" }, t("history.by", { actor, at: formatInstant(event.at, zone) }))),
    names.length > 0 && h("ul", { class: "changes" }, names.map((name) => h(
      "li", {}, t(`field.${name}`), ": ",
      event.before?.[name] !== undefined && [h("del", {}, show(name, event.before[name], zone, project)), " → "],
      event.after?.[name] !== undefined && h("ins", {}, show(name, event.after[name], zone, project)),
    ))),
    event.reason && h("p", {}, t("history.reason", { reason: event.reason })),
  );
}

/** @param {string} name @param {any} value @param {string} zone @param {Api.Project} project */
function show(name, value, zone, project) {
  if (value === null || value === "") return "–";
  if (name === "project_id") return value === project.id ? project.name : `#${value}`;
  if (name.endsWith("_time")) return formatInstant(value, zone);
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  return String(value);
}
