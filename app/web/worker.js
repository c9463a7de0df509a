/** Opens the page without a network. With one, the files always come from the server. */

const worker = /** @type {any} */ (self); // the compiler knows windows only
const FILES = new URL("files.json", worker.location.href);
const OWN = `${worker.registration.scope} `; // caches belong to the host, and other programs may be on it

async function install() {
  const { version, files } = await (await fetch(FILES, { cache: "no-cache" })).json();
  const current = OWN + version;
  const cache = await caches.open(current);
  await cache.addAll(["./", ...files]);
  const former = (await caches.keys()).filter((name) => name.startsWith(OWN) && name !== current);
  for (const name of former) await caches.delete(name);
  await worker.skipWaiting();
}

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(install()));
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const isFile = event.request.method === "GET" && event.request.url.startsWith(worker.registration.scope);
  if (isFile) event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
});
