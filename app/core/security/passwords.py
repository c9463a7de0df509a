"""Password rules and password hashing.

The rules follow NIST SP 800-63B: a minimum length, Unicode normalisation, a check against common passwords, no
composition rules, no truncation.
"""

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import cache
from typing import Any, TypeVar

from passlib.hash import argon2
from zxcvbn_rs_py import zxcvbn

from app.core.errors import Invalid, Unavailable
from app.core.keyed_semaphores import KeyedSemaphores

MIN_LENGTH = 12
MAX_LENGTH = 128
UNUSABLE_PASSWORD = ""
"""Stored instead of a hash if the user has no password. No password matches it."""
LOWEST_PRIORITY = 19
MAX_WAIT_SECONDS = 10
SCORED_LENGTH = 32  # characters. zxcvbn may take 1 s for 128, and a strong beginning is enough.
MIN_SCORE = 2  # on zxcvbn's scale of 0 to 4: at least 10^6 guesses

# OWASP's minimum parameters for argon2id
_argon2id: Any = argon2.using(type="ID", memory_cost=19456, rounds=2, parallelism=1)
_Result = TypeVar("_Result")


class LoginQueueFull(Unavailable):
    code = "too_many_logins"
    title = "Too many concurrent logins"
    retry_after_seconds = 5


class WeakPassword(Invalid):
    code = "weak_password"
    title = "Weak password"


def normalise(password: str) -> str:
    """Return the password in NFKC, so that it is the same from any keyboard."""
    return unicodedata.normalize("NFKC", password)


def length_problem(password: str) -> str | None:
    """Return an error message if the password is too short or too long, else None."""
    if MIN_LENGTH <= len(normalise(password)) <= MAX_LENGTH:
        return None
    return f"A password must have {MIN_LENGTH} to {MAX_LENGTH} characters."


def strength_problem(password: str) -> str | None:
    """Return an error message if the password is too weak, else None.

    It takes up to 0.1 s, so do not call it in the event loop.
    """
    if reason := length_problem(password):
        return reason
    if int(zxcvbn(normalise(password)[:SCORED_LENGTH]).score) < MIN_SCORE:
        return "The password is too easy to guess. Use several unrelated words."
    return None


def hash_password(password: str) -> str:
    """Return the argon2id hash in PHC string format."""
    return str(_argon2id.hash(normalise(password)))


def _hash_new(password: str) -> str:
    if reason := strength_problem(password):
        raise WeakPassword(reason)
    return hash_password(password)


def verify_password(password: str, password_hash: str) -> bool:
    return password_hash != UNUSABLE_PASSWORD and bool(_argon2id.verify(normalise(password), password_hash))


@cache
def _dummy_hash() -> str:
    return hash_password("nobody's password, of no account")


def _lower_thread_priority() -> None:
    """Give the hashing thread the lowest CPU priority, because a login may wait and a punch may not.

    Linux only: elsewhere the priority belongs to the whole process. A sandbox may forbid it, which is ignored.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


class PasswordHasher:
    """Hashes passwords in one thread per worker process, so that many logins do not delay punches.

    At most one request of a network is in the queue of the thread. Its other requests wait for that one, so one client
    cannot fill the queue. A hash takes about 20 ms of one core and 19 MiB. Raises LoginQueueFull
    after a wait of MAX_WAIT_SECONDS.
    """

    def __init__(self) -> None:
        self._permit = asyncio.Lock()
        self._network_permits = KeyedSemaphores(1)
        self._executor = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="hash", initializer=_lower_thread_priority
        )
        # Verified if the account does not exist, so that an unknown e-mail takes as long as a wrong password.
        self._dummy = _dummy_hash()

    async def hash(self, password: str | None, *, network: str | None) -> str:
        """Return the hash of a new password, or UNUSABLE_PASSWORD for None. Raises WeakPassword, LoginQueueFull.

        `network` is None for admins, who are not limited.
        """
        if password is None:
            return UNUSABLE_PASSWORD
        return await self._run(_hash_new, password, network=network)

    async def verify(self, password: str, password_hash: str | None, *, network: str) -> bool:
        """Return True if the password matches the hash. Raises LoginQueueFull.

        Without a hash (None or UNUSABLE_PASSWORD) it returns False after the same time, to prevent user enumeration.
        """
        effective_hash = password_hash or UNUSABLE_PASSWORD
        is_match = await self._run(
            verify_password,
            password,
            self._dummy if effective_hash == UNUSABLE_PASSWORD else effective_hash,
            network=network,
        )
        return is_match and effective_hash != UNUSABLE_PASSWORD

    async def _run(self, work: Callable[..., _Result], *arguments: str, network: str | None) -> _Result:
        async with AsyncExitStack() as permits:
            try:
                async with asyncio.timeout(MAX_WAIT_SECONDS):
                    if network is not None:
                        await permits.enter_async_context(self._network_permits[network])
                    await permits.enter_async_context(self._permit)
            except TimeoutError:
                raise LoginQueueFull("Too many logins are in progress. Try again in a few seconds.") from None
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
