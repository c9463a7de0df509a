/** Icons as paths on a grid of 24. They are decoration: the text beside them says the same. */

import { h } from "../dom.js";

export const PATHS = {
  clock: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7v5l3 2",
  calendar: "M5 5h14a1 1 0 0 1 1 1v13a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1M4 10h16M8 3v4M16 3v4",
  team: "M9 11a3.5 3.5 0 1 0 0-7a3.5 3.5 0 0 0 0 7M3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 .8 3 2.8 3 5.5",
  account: "M12 12a4 4 0 1 0 0-8a4 4 0 0 0 0 8M4.5 20c.5-4 3.5-6 7.5-6s7 2 7.5 6",
  admin: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5M9 14.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5",
  left: "M14 6l-6 6l6 6",
  right: "M10 6l6 6l-6 6",
  lock: "M7 11h10a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1M8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  alert: "M12 4l9 16H3zM12 10v4M12 17v.5",
  empty: "M4 7h16M4 12h10M4 17h6",
};

/** @param {Icon} name */
export function icon(name) {
  return h(
    "svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] }),
  );
}
