/** The periods of timesheets, and the day before which nothing changes any more. */

import { call } from "../api.js";
import { h } from "../dom.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { formatDay, formatInstant } from "../time.js";
import { field, form, formDialog, itemButton } from "./form.js";
import { card, emptyPanel } from "./panels.js";

const PERIODS = /** @type {const} */ (["week", "two_weeks", "half_month", "month"]);
const LONG = /** @type {const} */ ({ day: "numeric", month: "long", year: "numeric" });

/** @param {string} _search @param {Done} reload */
export async function show(_search, reload) {
  const [rules, lock] = await Promise.all([call("GET", "admin/timesheet-rules"), call("GET", "admin/lock")]);
  return [
    card("admin.rules_title", ruleList(rules, reload), ruleForm(reload)),
    card("admin.lock_title", lockState(lock), lockForm(lock, reload)),
  ];
}

/** @param {Api.Rule[]} rules @param {Done} reload */
function ruleList(rules, reload) {
  if (rules.length === 0) return emptyPanel(t("admin.no_rules"));
  return h("ul", { class: "entries" }, rules.map((rule) => {
    const from = t("admin.rule_from", { day: formatDay(rule.valid_from, LONG) });
    return h(
      "li", { class: "waiting" },
      h("p", {}, h("strong", {}, from), " ", t(`admin.period_${rule.period}`)),
      h("p", { class: "actions small" }, itemButton(t("admin.remove"), from, () => removeRule(rule, from, reload))),
    );
  }));
}

/** @param {Api.Rule} rule @param {string} from @param {Done} reload */
function removeRule(rule, from, reload) {
  formDialog(t("admin.remove_rule"), [h("p", {}, t("admin.remove_rule_question", { from }))], {
    label: t("admin.remove"), kind: "danger", done: reload,
    submit: () => call("DELETE", `admin/timesheet-rules/${rule.valid_from}`),
  });
}

/** @param {Done} reload */
function ruleForm(reload) {
  const options = PERIODS.map((period) => [period, t(`admin.period_${period}`)]);
  /** @param {Api.Rule} rule */
  const submit = async ({ valid_from, period }) => {
    await call("PUT", `admin/timesheet-rules/${valid_from}`, { body: { period } });
    await reload();
  };
  return form([h(
    "div", { class: "pair" },
    field("valid_from", t("admin.valid_from"), { kind: "date", required: true, hint: t("admin.valid_from_hint") }),
    field("period", t("admin.period"), { kind: "select", options, value: "week" }),
  )], { label: t("admin.set_rule"), submit, kind: "" });
}

/** @param {Api.LockDate} lock */
function lockState({ before_day, changed_at }) {
  const at = changed_at && formatInstant(changed_at, user().time_zone);
  return h(
    "p", {}, before_day ? t("admin.locked_before", { day: formatDay(before_day, LONG) }) : t("admin.not_locked"), " ",
    at && h("span", { class: "quiet" }, t("admin.lock_changed", { at })),
  );
}

/**
 * An empty day opens everything again.
 * @param {Api.LockDate} lock
 * @param {Done} reload
 */
function lockForm(lock, reload) {
  /** @param {{before_day: string, reason: string}} values */
  const submit = async ({ before_day, reason }) => {
    await call("PUT", "admin/lock", { body: { before_day: before_day || null, reason }, version: lock.version });
    await reload();
  };
  return form([
    field("before_day", t("admin.lock_day"), {
      kind: "date", value: lock.before_day ?? "", hint: t("admin.lock_hint"),
    }),
    field("reason", t("entry.reason"), { required: true, maxlength: 500, autocomplete: "off" }),
  ], { label: t("admin.move_lock"), submit, kind: "" });
}
