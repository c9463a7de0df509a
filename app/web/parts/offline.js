/** Keeps the files of the page for times without a network. Answers of the API are never kept. */

const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("worker", { createScriptURL: () => "worker.js" });

let isKept = false;

/** Let the worker keep the files, once a visit. Without TLS there is none, and the page needs a network. */
export async function keepShell() {
  if (isKept || !navigator.serviceWorker) return;
  isKept = true;
  const address = /** @type {any} */ (policy?.createScriptURL("") ?? "worker.js");
  await navigator.serviceWorker.register(address).catch((error) => console.warn(String(error)));
}
