/** Starts the page: the login, the frame around all pages, and the routes, which are in the part after #. */

import { Problem, tokenUser } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./parts/icons.js";
import { openDialog } from "./parts/form.js";
import { errorLine, errorPanel, languageSelect, skeleton } from "./parts/panels.js";
import * as session from "./session.js";
import { loadTexts, t } from "./text.js";

/** @type {Record<string, Route>} */
const PAGES = {
  __proto__: /** @type {any} */ (null), // an address names no property of every object
  clock: { load: () => import("./pages/clock.js"), icon: "clock" },
  time: { load: () => import("./pages/time.js"), icon: "calendar" },
  team: { load: () => import("./pages/team.js"), icon: "team", isShown: () => session.isManager() },
  admin: { load: () => import("./pages/admin.js"), icon: "admin", isShown: () => session.isAdmin() },
  account: { load: () => import("./pages/account.js"), icon: "account" },
};
/** @type {Route} */
const LOGIN = { load: () => import("./pages/login.js") };
const SET_PASSWORD = { load: () => import("./pages/set-password.js") };
const CHANGE_PASSWORD = { load: () => import("./pages/change-password.js") };
/** @type {(() => void) | null | undefined} */
let leave = null;
let visit = 0;

async function start() {
  const texts = loadTexts();
  window.addEventListener("hashchange", () => show());
  window.addEventListener("session-ended", () => {
    session.forget();
    texts.then(() => show(t("login.ended")));
  });
  window.addEventListener("unhandledrejection", onUnhandled);
  session.onOtherTab(() => location.reload());
  const restored = session.restore();
  restored.catch(() => {}); // it is shown below, once there are texts
  const likely = session.mayContinue() ? PAGES[address()[0]] ?? PAGES.clock : LOGIN;
  likely.load().catch(() => {}); // its modules, meanwhile
  await texts;
  await restore(restored);
}

/**
 * Say that a button had no effect. The end of a login is shown already.
 * @param {PromiseRejectionEvent} event
 */
function onUnhandled(event) {
  const { reason } = event;
  if (!(reason instanceof Problem)) return;
  event.preventDefault();
  if (reason.status !== 401) openDialog(t("error.title"), (close) => [
    errorLine(reason), h("button", { type: "button", onclick: close }, t("close")),
  ]);
}

async function restore(restored = session.restore()) {
  try {
    await restored;
    await show();
  } catch (error) {
    fill(document.body, frame(null), h("main", { id: "main", tabindex: "-1" }, errorPanel(error, () => restore())));
  }
}

/** Return the parts of the address behind #, or none if they are malformed. */
function address() {
  try {
    return location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

/** Return the page of the address, and the parts behind its name. */
function route() {
  const [name, ...rest] = address();
  if (name === "set-password") return { name, page: SET_PASSWORD, rest };
  const user = session.user();
  if (!user) return { name: "login", page: LOGIN, rest };
  if (user.must_change_password) return { name: "change-password", page: CHANGE_PASSWORD, rest };
  const found = PAGES[name];
  const isThere = found && (found.isShown?.() ?? true);
  return isThere ? { name, page: found, rest } : { name: "clock", page: PAGES.clock, rest: [] };
}

/**
 * Show the page of the address, and move the focus to its heading.
 * @param {string} [notice]
 */
async function show(notice) {
  const { name, page, rest } = route();
  const number = ++visit;
  leave?.();
  leave = null;
  const main = h("main", { id: "main", tabindex: "-1", "aria-busy": "true" }, skeleton());
  fill(
    document.body, skipLink(main), frame(name), main, h("footer", {}, languageSelect(() => show())),
    h("div", { id: "announcer", class: "unseen", "aria-live": "polite" }),
  );
  document.title = `${t(`${name}.title`)} · ${t("product")}`;
  try {
    const { render } = await page.load();
    const { content, onLeave } = await render({ rest, notice, reload: () => show() });
    if (number !== visit) return onLeave?.();
    leave = onLeave;
    fill(main, content);
  } catch (error) {
    if (number !== visit || (!session.user() && page !== LOGIN && page !== SET_PASSWORD)) return;
    if (!(error instanceof Problem)) console.error(error);
    fill(main, h("h1", { tabindex: "-1" }, t(`${name}.title`)), errorPanel(error, () => show()));
  }
  main.removeAttribute("aria-busy");
  if (session.user()) import("./parts/offline.js").then(({ keepShell }) => keepShell());
  /** @type {HTMLElement} */ (main.querySelector("[autofocus]") ?? main.querySelector("h1") ?? main).focus();
}

/** @param {HTMLElement} main */
function skipLink(main) {
  /** @param {Event} event */
  const skip = (event) => {
    event.preventDefault();
    main.focus();
  };
  return h("a", { class: "skip", href: "#main", onclick: skip }, t("skip"));
}

/** @param {string | null} current */
function frame(current) {
  const isIn = session.user() && tokenUser() !== null && (current ?? "") in PAGES;
  const links = Object.entries(PAGES)
    .filter(([, page]) => isIn && (page.isShown?.() ?? true))
    .map(([name, page]) => h(
      "a", { href: `#/${name}`, "aria-current": name === current && "page" }, page.icon && icon(page.icon), t(`nav.${name}`),
    ));
  return h(
    "header", {},
    h("p", { class: "brand" }, icon("clock"), t("product")),
    links.length > 0 && h("nav", { "aria-label": t("nav") }, links),
  );
}

start();
