/** The one way to the API. The access token is in the memory of this module only, the refresh token in a cookie. */

import { compareClock } from "./time.js";

const BASE = new URL("../api/v1/", document.baseURI);
const TIMEOUT = 20_000;
/** @type {string | null} */
let accessToken = null;
/** @type {Promise<void> | null} */
let refreshing = null;

/** An error response of the API, or of the way to it: then the code is "offline". */
export class Problem extends Error {
  code = "";
  status = 0;
  /** @type {string | undefined} */
  detail;
  /** @type {string | undefined} */
  request_id;
  /** @type {{loc: [string, number, string?], message: string}[] | undefined} */
  errors;
  /** @type {number | undefined} */
  error_count;

  /** @param {Partial<Problem>} fields */
  constructor(fields) {
    super(fields.detail ?? fields.code);
    Object.assign(this, fields);
  }

  /** True if the request may have arrived, or may arrive if it is sent again. */
  get isTemporary() {
    return this.code === "offline" || this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

/**
 * The token of the current login, or null.
 * @param {string | null} token
 */
export function setAccessToken(token) {
  accessToken = token;
}

/** Return the id of the user to whom an access token belongs, or null. */
export function tokenUser(token = accessToken) {
  if (!token) return null;
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return Number(JSON.parse(atob(payload)).sub);
}

/**
 * Call an operation by its address below /api/v1, such as "projects". Return the body, or null without one.
 * Throws Problem.
 * @type {Api.Call}
 */
export const call = /** @type {any} */ (request);

/**
 * @typedef {{query?: object, body?: object, form?: Record<string, string>, csv?: Blob, key?: string, version?: number,
 *   page?: boolean}} Options
 */
/** @param {string} method @param {string} path @param {Options} options */
async function request(method, path, options = {}) {
  let response = await send(method, path, options);
  if (response.status === 401 && accessToken && !options.page) {
    await refresh();
    response = await send(method, path, options);
  }
  return read(response);
}

/**
 * Get the next access token, once for all calls that wait for it. A response that got lost is asked for again at once,
 * because the server repeats it for ten seconds only.
 * @param {string} [refreshToken] of a changed password; else the cookie has it
 */
export function refresh(refreshToken) {
  const body = refreshToken ? { refresh_token: refreshToken } : undefined;
  const attempt = () => call("POST", "auth/page/refresh", { body, page: true });
  refreshing ??= attempt()
    .catch((error) => (error.code === "offline" ? attempt() : Promise.reject(error)))
    .then(takeOver, endSession)
    .finally(() => { refreshing = null; });
  return refreshing;
}

/**
 * If another user has logged in in another tab, load the page again. What waits here is not sent as that user.
 * @param {{access_token: string}} tokens
 */
function takeOver({ access_token: token }) {
  if (accessToken && tokenUser() !== tokenUser(token)) {
    location.reload();
    return new Promise(() => {});
  }
  accessToken = token;
}

/** @param {Problem} error @returns {never} */
function endSession(error) {
  if (error.status === 401) {
    accessToken = null;
    window.dispatchEvent(new Event("session-ended"));
  }
  throw error;
}

/** @param {string} method @param {string} path @param {Options} options */
async function send(method, path, { query, body, form, csv, key, version, page }) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
  /** @type {Record<string, string>} */
  const headers = {};
  if (page) headers["X-Requested-With"] = "page";
  if (accessToken) headers.Authorization = `Bearer ${accessToken}`;
  if (body) headers["Content-Type"] = "application/json";
  if (csv) headers["Content-Type"] = "text/csv";
  if (key) headers["Idempotency-Key"] = key;
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  const content = csv ?? (form ? new URLSearchParams(form) : body && JSON.stringify(body));
  try {
    const signal = AbortSignal.timeout(TIMEOUT);
    const response = await fetch(url, { method, headers, body: content, signal, cache: "no-store" });
    compareClock(response.headers.get("Date"));
    return response;
  } catch {
    throw new Problem({ code: "offline" });
  }
}

/** @param {Response} response */
async function read(response) {
  try {
    if (response.ok) return response.status === 204 ? null : await response.json();
    throw new Problem({ status: response.status, ...await response.json() });
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem({ status: response.status, code: "offline" }); // cut off, or the answer of a proxy
  }
}
