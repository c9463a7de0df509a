/** Who is logged in: logging in and out, in all tabs of the browser. */

import { Problem, call, refresh, setAccessToken } from "./api.js";

const HINT = "logged-in"; // says that there may be a cookie, so that a first visit sends no refresh in vain
const tabs = new BroadcastChannel("session");
/** @type {Api.Account | null} */
let account = null;

/** The user who is logged in, or null on the pages before a login. */
export function user() {
  return /** @type {Api.Account} */ (account);
}

export function isManager() {
  return user().role !== "employee";
}

export function isAdmin() {
  return user().role === "admin";
}

/** True if there may be a login of an earlier visit or of another tab. */
export function mayContinue() {
  return localStorage.getItem(HINT) !== null;
}

/** Go on with the login of an earlier visit or of another tab. Return the user, or null. */
export async function restore() {
  if (!mayContinue()) return null;
  try {
    await refresh();
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    return null;
  }
  return readUser();
}

/**
 * Log in. Throws Problem, with the code otp_required if a second factor is needed too.
 * @param {{username: string, password: string, otp?: string}} form
 */
export async function logIn(form) {
  const tokens = await call("POST", "auth/page/login", { form, page: true });
  setAccessToken(tokens.access_token);
  localStorage.setItem(HINT, "1");
  const { id } = await readUser();
  tabs.postMessage({ user_id: id });
}

/** Log out here and in the other tabs. If the server can't be reached, the login session stays until it expires. */
export async function logOut() {
  await call("POST", "auth/page/logout");
  forget();
  tabs.postMessage({ user_id: null });
}

/** Forget the login of this tab, which has ended. */
export function forget() {
  account = null;
  setAccessToken(null);
  localStorage.removeItem(HINT);
}

/**
 * Change the password. All other login sessions end.
 * @param {{current_password: string, new_password: string}} body
 */
export async function changePassword(body) {
  const tokens = await call("POST", "auth/password", { body });
  setAccessToken(tokens.access_token);
  await refresh(tokens.refresh_token);
  await readUser();
}

/**
 * Change names or time zone.
 * @param {{time_zone: string}} body
 */
export async function changeAccount(body) {
  account = await call("PATCH", "auth/me", { body });
}

/** Read the user again. */
export async function readUser() {
  account = await call("GET", "auth/me");
  return user();
}

/**
 * Call this when another tab has logged in as another user, or out.
 * @param {() => void} react
 */
export function onOtherTab(react) {
  tabs.addEventListener("message", ({ data }) => {
    if (data.user_id !== (account?.id ?? null)) react();
  });
}
