"""A semaphore for each key, such as a user or a network, for limits within one worker process."""

import asyncio
from collections.abc import Hashable
from weakref import WeakValueDictionary


class KeyedSemaphores:
    """Semaphores that share a number of permits. One that nobody holds or waits for is dropped."""

    def __init__(self, permits: int) -> None:
        self._permits = permits
        self._semaphores: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._semaphores)

    def __getitem__(self, key: Hashable) -> asyncio.Semaphore:
        """Return the semaphore of a key. Keep it while you hold or wait for a permit."""
        return self._semaphores.setdefault(key, asyncio.Semaphore(self._permits))
