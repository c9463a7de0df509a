/** The clock: one big button, since when, today's total. */

import { Problem, call } from "../api.js";
import { announce, fill, h } from "../dom.js";
import { addEntry, correctEntry, descriptionField, projectField, readProjects } from "../parts/entry-form.js";
import { icon } from "../parts/icons.js";
import { emptyPanel, errorLine } from "../parts/panels.js";
import { PATIENCE, hasArrived, newPress, sendPress, unansweredPress } from "../parts/punch.js";
import { dropPress } from "../parts/punch-store.js";
import { ownTodo } from "../parts/todo.js";
import { user } from "../session.js";
import { t } from "../text.js";
import { dayOf, formatDay, formatInstant, formatTime, now, spellLength } from "../time.js";

const tabs = new BroadcastChannel("punches");
const OFFLINE = "offline";

/**
 * @typedef {{open: Api.OpenEntry | null, projects: Api.Project[], today: string, closedSeconds: number,
 *   last?: Api.Entry, isSending: boolean, isLeft: boolean}} State
 * @typedef {ReturnType<typeof build>} View
 */

/** @type {Render} */
export async function render({ reload }) {
  const state = await read();
  /** @type {View} */
  const view = build(state, (action) => press(state, view, action, reload));
  draw(state, view);
  const timer = setInterval(() => drawTimes(state, view), 1_000);
  const onChange = () => document.visibilityState === "visible" && update(state, view);
  document.addEventListener("visibilitychange", onChange);
  tabs.onmessage = onChange;
  const onLeave = () => {
    state.isLeft = true;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", onChange);
  };
  const waiting = await unansweredPress(user().id);
  if (waiting) goOn(state, view, waiting, reload);
  showTodo(view);
  return { content: view.page, onLeave };
}

/** @returns {Promise<State>} */
async function read() {
  const today = dayOf(now(), user().time_zone);
  const [open, projects, report, [last]] = await Promise.all([
    call("GET", "time-entries/current"),
    readProjects(),
    call("GET", "reports/me", { query: { start_date: today, end_date: today } }),
    call("GET", "time-entries", { query: { user_id: user().id, limit: 1 } }),
  ]);
  return { open, projects, today, closedSeconds: report.total_seconds, last, isSending: false, isLeft: false };
}

/** @param {State} state @param {View} view */
async function update(state, view) {
  if (state.isSending || state.isLeft) return;
  try {
    Object.assign(state, await read());
    draw(state, view);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

/** @param {State} state @param {(action: Press["action"]) => void} onPress */
function build(state, onPress) {
  const parts = {
    button: h("button", { type: "submit", class: "punch", "aria-describedby": "since" }),
    since: h("p", { id: "since", class: "since" }),
    elapsed: h("p", { class: "elapsed", "aria-hidden": "true" }),
    sum: h("strong", {}),
    problem: h("div", { class: "problem" }),
    missed: h("div", {}),
    todo: h("p", { class: "todo" }),
    change: h("button", { type: "button", onclick: () => onPress("switch") }, t("clock.switch")),
  };
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    onPress(state.open ? "out" : "in");
  };
  const fields = [projectField(state.projects, state.last?.project_id), descriptionField(state.last?.description)];
  const form = h(
    "form", { class: "clock", onsubmit: submit },
    h("div", { class: "dial" }, parts.elapsed, parts.since, parts.button), parts.problem,
    h("div", { class: "fields" }, fields, h("p", { class: "actions" }, parts.change)),
  );
  const page = h(
    "section", { class: "card narrow" },
    h("h1", { tabindex: "-1", class: "day" }, formatDay(state.today)), parts.missed,
    state.projects.length > 0 || state.open ? form : emptyPanel(t("clock.no_projects")),
    h("p", { class: "sum" }, t("clock.today"), " ", parts.sum), parts.todo,
  );
  return { ...parts, form, page };
}

/**
 * Show what else there is to do, below the clock and after it. It may be missing, as without a network.
 * @param {View} view
 */
async function showTodo(view) {
  try {
    fill(view.todo, await ownTodo());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

/** @param {State} state @param {View} view */
function draw(state, view) {
  const zone = user().time_zone;
  const { open } = state;
  const isToday = open && dayOf(open.start_time, zone) === state.today;
  view.since.textContent = !open ? t("clock.out_state") : t("clock.since", {
    time: (isToday ? formatTime : formatInstant)(open.start_time, zone), project: open.project.name,
  });
  view.button.textContent = state.isSending ? t("clock.sending") : t(open ? "clock.out" : "clock.in");
  view.button.classList.toggle("is-in", Boolean(open));
  view.button.toggleAttribute("data-busy", state.isSending);
  view.button.setAttribute("aria-disabled", String(state.isSending));
  view.change.hidden = !open;
  view.change.disabled = state.isSending;
  drawTimes(state, view);
}

/** @param {State} state @param {View} view */
function drawTimes(state, view) {
  const { open } = state;
  const seconds = open ? Math.max(0, Math.floor((now().getTime() - Date.parse(open.start_time)) / 1000)) : 0;
  const countsToday = open && dayOf(open.start_time, user().time_zone) === state.today;
  /** @param {number} number */
  const two = (number) => String(number).padStart(2, "0");
  const clock = `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  view.elapsed.textContent = open ? clock : formatTime(now(), user().time_zone);
  view.sum.textContent = spellLength(state.closedSeconds + (countsToday ? seconds : 0));
}

/** @param {State} state @param {View} view @param {Press["action"]} action @param {Done} reload */
async function press(state, view, action, reload) {
  if (state.isSending) return;
  const values = Object.fromEntries(new FormData(view.form));
  const body = { project_id: Number(values.project_id), description: String(values.description) };
  await send(state, view, newPress(user().id, action, action === "out" ? null : body), reload);
}

/** @param {State} state @param {View} view @param {Press} pressed @param {Done} reload */
async function send(state, view, pressed, reload) {
  state.isSending = true;
  fill(view.problem);
  announce(t("clock.sending"));
  draw(state, view);
  try {
    const result = await sendPress(pressed, () => !state.isLeft);
    if (result === "missed") offerByHand(state, view, pressed, reload);
    if (result === "arrived") tabs.postMessage(null);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    fill(view.problem, errorLine(error));
  }
  state.isSending = false;
  await update(state, view);
  if (state.isLeft) return;
  draw(state, view);
  announce(view.since.textContent);
}

/**
 * Go on with a press of an earlier visit: send it again within its minute, and offer it by hand later.
 * @param {State} state
 * @param {View} view
 * @param {Press} waiting
 * @param {Done} reload
 */
async function goOn(state, view, waiting, reload) {
  if (now().getTime() < Date.parse(waiting.pressed_at) + PATIENCE) return send(state, view, waiting, reload);
  if (!await hasArrived(waiting)) offerByHand(state, view, waiting, reload);
}

/**
 * Offer a press that did not arrive for entry by hand, with its time and the reason filled in.
 * @param {State} state
 * @param {View} view
 * @param {Press} pressed
 * @param {Done} reload
 */
function offerByHand(state, view, pressed, reload) {
  const time = formatTime(pressed.pressed_at, user().time_zone);
  const finish = async () => {
    await dropPress(pressed.user_id);
    reload();
  };
  const enter = async () => {
    if (await hasArrived(pressed)) return reload();
    const note = t("clock.missed_note", { time });
    const { open } = state;
    if (pressed.action === "out" && open) {
      return correctEntry({ entry: open, values: { end: pressed.pressed_at, reason: OFFLINE }, done: finish, note });
    }
    const values = { ...pressed.body, start: pressed.pressed_at, end: now(), reason: OFFLINE };
    return addEntry({ values, done: finish, note });
  };
  fill(view.missed, h(
    "div", { class: "panel notice", role: "alert" }, icon("alert"),
    h("p", {}, t("clock.missed", { time })),
    h(
      "p", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: enter }, t("clock.by_hand")),
      h("button", { type: "button", onclick: finish }, t("clock.forget")),
    ),
  ));
}
