/** The team: who is clocked in, what waits for the manager, and the time of each user. */

import { call } from "../api.js";
import { announce, h } from "../dom.js";
import { decisions } from "../parts/decisions.js";
import { form } from "../parts/form.js";
import { pagedList } from "../parts/paged-list.js";
import { card, emptyPanel } from "../parts/panels.js";
import { personOf } from "../parts/person.js";
import { toCorrect, toSubmit } from "../parts/todo.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { formatInstant, formatLength, formatRange, formatTime, spellLength } from "../time.js";

/** @type {Render} */
export async function render({ rest, reload }) {
  return { content: /^\d+$/.test(rest[0] ?? "") ? await personOf(rest, reload) : await overview(reload) };
}

/** @param {Done} reload */
async function overview(reload) {
  const [present, todo, users] = await Promise.all([
    call("GET", "reports/presence", { query: { limit: 200 } }),
    call("GET", "reports/todo", { query: { include_indirect: true } }),
    pagedList("team", "", userLink, t("list.nothing_found")),
  ]);
  const waiting = todo.to_decide;
  return [
    h("h1", { tabindex: "-1" }, t("team.title")),
    h(
      "section", { class: "card" }, h("h2", {}, t("team.present", { count: present.length })),
      present.length > 0 ? presenceTable(present) : emptyPanel(t("team.nobody")),
    ),
    toCorrect(todo, reload),
    card("team.waiting", waiting.length > 0 ? approval(waiting, reload) : emptyPanel(t("team.nothing_waits"))),
    toSubmit(todo),
    card("team.users", users),
  ];
}

/** @param {Api.User} user */
function userLink({ id, first_name, last_name, is_active }) {
  const link = h("a", { class: "link", href: id === user().id ? "#/time" : `#/team/${id}` }, `${first_name} ${last_name}`);
  const badge = !is_active && h("span", { class: "badge warn" }, t("admin.deactivated"));
  return h("li", { class: "waiting" }, h("p", {}, link, badge));
}

/** @param {Api.Presence[]} present */
function presenceTable(present) {
  const heads = ["team.who", "team.project", "team.since", "team.elapsed"];
  const rows = present.map((each) => h(
    "tr", {}, h("th", { scope: "row" }, each.user_name),
    h("td", {}, each.project_name, each.description && h("span", { class: "quiet" }, ` ${each.description}`)),
    h("td", {}, formatTime(each.start_time, user().time_zone)),
    h("td", {}, formatLength(each.elapsed_seconds), each.needs_review && h(
      "span", { class: "badge warn" }, t("entry.needs_review"),
    )),
  ));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("team.title") }, h(
    "table", {}, h("thead", {}, h("tr", {}, heads.map((key) => h("th", { scope: "col" }, t(key))))),
    h("tbody", {}, rows),
  ));
}

/** @param {Api.Sheet} sheet */
function lookLink({ user_id: id, user_name: name, first_day: day }) {
  const label = t("team.look");
  return h("a", { class: "link", href: `#/team/${id}/week/${day}`, "aria-label": `${label}: ${name}` }, label);
}

/**
 * All that are ticked are approved at once, all or none. Each can be rejected with a comment.
 * @param {Api.Sheet[]} waiting
 * @param {Done} reload
 */
function approval(waiting, reload) {
  const items = waiting.map((sheet, index) => item(sheet, index, reload));
  /** @param {Record<string, string>} values */
  const submit = async (values) => {
    const chosen = waiting.filter((_sheet, index) => values[`sheet-${index}`]);
    const timesheets = chosen.map(({ user_id, first_day, version }) => ({ user_id, first_day, version }));
    if (timesheets.length === 0) return;
    await call("POST", "timesheets/approve", { body: { timesheets } });
    await reload();
    announce(t("team.approved", { count: timesheets.length }));
  };
  return form([h("ul", { class: "entries" }, items)], { label: t("team.approve"), submit });
}

/** @param {Api.Sheet} sheet @param {number} index @param {Done} reload */
function item(sheet, index, reload) {
  const days = formatRange(sheet.first_day, sheet.last_day);
  const box = h("input", {
    type: "checkbox", name: `sheet-${index}`, checked: sheet.can.includes("approve"),
    disabled: !sheet.can.includes("approve"),
  });
  return h(
    "li", { class: "waiting" },
    h("label", {}, box, h("span", {}, h("strong", {}, sheet.user_name), ` ${days}`)),
    h("p", { class: "quiet" }, t("sheet.sum", { length: spellLength(sheet.total_seconds), entries: sheet.entries }),
      sheet.submitted_at && [" · ", t("sheet.submitted_at", { at: formatInstant(sheet.submitted_at, user().time_zone) })]),
    h("p", { class: "actions small" }, decisions(sheet, reload), lookLink(sheet)),
  );
}
