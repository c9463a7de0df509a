/** Opens the page without a network. With one, the files always come from the server. */

const FILES = new URL("files.json", self.location.href);
const OWN = `${self.registration.scope} `; // caches belong to the host, and other programs may be on it

async function keepFiles() {
  const { version, files } = await (await fetch(FILES, { cache: "no-cache" })).json();
  const current = OWN + version;
  const cache = await caches.open(current);
  await cache.addAll(["./", ...files]);
  const former = (await caches.keys()).filter((name) => name.startsWith(OWN) && name !== current);
  for (const name of former) await caches.delete(name);
}

self.addEventListener("install", (event) => event.waitUntil(keepFiles().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const isFile = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (isFile) event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
});
