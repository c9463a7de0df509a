/** Opens the page without a network. With one, the files always come from the server. */

const FILES = new URL("files.json", self.location.href);

async function keepFiles() {
  const { version, files } = await (await fetch(FILES, { cache: "no-cache" })).json();
  const cache = await caches.open(version);
  await cache.addAll(["./", ...files]);
  for (const name of await caches.keys()) if (name !== version) await caches.delete(name);
}

self.addEventListener("install", (event) => event.waitUntil(keepFiles().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const isFile = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (isFile) event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
});
