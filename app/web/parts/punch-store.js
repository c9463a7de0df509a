/** Keeps one press for each user until it has an answer, also over a reload. */

const STORE = "presses";

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("time-tracking", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "user_id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} work */
async function run(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const request = work(database.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } finally {
    database.close();
  }
}

/** Return the press of a user that has no answer yet, or undefined. */
export const readPress = (/** @type {number} */ userId) => run("readonly", (store) => store.get(userId));
export const keepPress = (/** @type {Press} */ press) => run("readwrite", (store) => store.put(press));
export const dropPress = (/** @type {number} */ userId) => run("readwrite", (store) => store.delete(userId));
