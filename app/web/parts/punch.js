/**
 * Sends a press of the big button on a bad network. The clock of the server decides, so a press that has not arrived
 * within a minute is no punch any more. It is then offered for entry by hand, and never sent later in silence.
 */

import { Problem, call } from "../api.js";
import { now } from "../time.js";
import { dropPress, keepPress, readPress } from "./punch-store.js";

export const PATIENCE = 60_000;
const PAUSE = 2_000;

/**
 * Make a press, with the key under which the server recognizes it when it is sent again.
 * @param {number} userId
 * @param {Press["action"]} action
 * @param {Press["body"]} body
 * @returns {Press}
 */
export function newPress(userId, action, body = null) {
  return { user_id: userId, action, body, key: crypto.randomUUID(), pressed_at: now().toISOString() };
}

/**
 * Send a press until it has an answer. Return "arrived", or "missed" after a minute. Throws Problem if it is refused.
 * @param {Press} press
 * @param {() => boolean} isWanted false stops the repetition, as the user has left
 */
export async function sendPress(press, isWanted) {
  await keepPress(press);
  const deadline = Date.parse(press.pressed_at) + PATIENCE;
  while (now().getTime() < deadline) {
    if (!isWanted()) return "left";
    try {
      await request(press);
      await dropPress(press.user_id);
      return "arrived";
    } catch (error) {
      if (!(error instanceof Problem) || !error.isTemporary) {
        if (!(error instanceof Problem) || error.status !== 401) await dropPress(press.user_id);
        throw error;
      }
      await pause(PAUSE);
    }
  }
  return await hasArrived(press) ? "arrived" : "missed";
}

/**
 * Return the press of an earlier visit that has no answer yet, or null.
 * @param {number} userId
 * @returns {Promise<Press | null>}
 */
export async function unansweredPress(userId) {
  return await readPress(userId) ?? null;
}

/**
 * Return true, and forget the press, if the answer was lost but not the punch.
 * @param {Press} press
 */
export async function hasArrived(press) {
  try {
    const open = await call("GET", "time-entries/current");
    const pressed = Date.parse(press.pressed_at);
    const hasStarted = open !== null && Date.parse(open.start_time) >= pressed - 5_000;
    if (press.action === "in" ? !hasStarted : open !== null) return false;
    await dropPress(press.user_id);
    return true;
  } catch {
    return false;
  }
}

/** @param {Press} press */
function request({ action, body, key }) {
  if (!body) return call("POST", "time-entries/clock-out", { key });
  return call("POST", "time-entries/clock-in", { key, body, query: action === "switch" ? { switch: true } : {} });
}

/** @param {number} milliseconds */
function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
