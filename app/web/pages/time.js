/** My time: a week or a month. */

import { periodOf } from "../parts/period.js";
import { user } from "../session.js";

/** @type {Render} */
export async function render({ rest, reload }) {
  return { content: await periodOf(user(), "time", rest, reload) };
}
