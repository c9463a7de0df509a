"""Passwords: which are good enough, and how they are hashed.

Rules after NIST SP 800-63B: length, Unicode normalised, a blocklist, no composition rules, no truncation.
"""

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

from passlib.hash import argon2
from zxcvbn_rs_py import zxcvbn

from app.core.errors import Invalid, Unavailable

MIN_LENGTH = 12
MAX_LENGTH = 128
UNUSABLE_PASSWORD = ""
"""In the place of a hash: nothing matches it, until the person sets a password through a link."""
LOWEST_PRIORITY = 19
MAX_WAIT_SECONDS = 10
SCORED_LENGTH = 32  # characters; zxcvbn takes a second over 128 made of look-alikes, and a strong start is enough
MIN_SCORE = 2  # of zxcvbn's 0 to 4: 10^6 guesses and more

# OWASP's minimum for argon2id
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
    """NFKC, so that one password typed on two keyboards is one password."""
    return unicodedata.normalize("NFKC", password)


def length_problem(password: str) -> str | None:
    """Why the password's length won't do, as a sentence; None when it will."""
    if MIN_LENGTH <= len(normalise(password)) <= MAX_LENGTH:
        return None
    return f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters."


def strength_problem(password: str) -> str | None:
    """Why the password won't do, as a sentence; None when it will. Takes up to 0.1 s: not for the event loop."""
    if reason := length_problem(password):
        return reason
    if int(zxcvbn(normalise(password)[:SCORED_LENGTH]).score) < MIN_SCORE:
        return "This password is among the first that are guessed. Take several unrelated words."
    return None


def hash_password(password: str) -> str:
    """The argon2id hash, in the PHC string format."""
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
    """Let the hashing thread have what cores are idle: a login may wait, a punch may not. (On Linux a thread has a
    priority of its own; elsewhere it would be the whole process's.) Where a sandbox forbids it, they take turns."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


class PasswordHasher:
    """Hashes off the event loop in one thread a worker, so that a login storm can't starve the punches.

    A hash takes a core for about 20 ms and 19 MiB. Who would wait longer than MAX_WAIT_SECONDS gets LoginQueueFull.
    """

    def __init__(self) -> None:
        self._permit = asyncio.Semaphore(1)
        self._executor = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="hash", initializer=_lower_thread_priority
        )
        # Verified when there is no such account: an unknown e-mail takes as long as a wrong password.
        self._dummy = _dummy_hash()

    async def hash(self, password: str | None) -> str:
        """The hash of a new password, UNUSABLE_PASSWORD for none. Raises WeakPassword."""
        if password is None:
            return UNUSABLE_PASSWORD
        return await self._run(_hash_new, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether they match; False, in the same time, where there is no hash: nobody, or UNUSABLE_PASSWORD."""
        effective_hash = password_hash or UNUSABLE_PASSWORD
        is_match = await self._run(
            verify_password, password, self._dummy if effective_hash == UNUSABLE_PASSWORD else effective_hash
        )
        return is_match and effective_hash != UNUSABLE_PASSWORD

    async def _run(self, work: Callable[..., _Result], *arguments: str) -> _Result:
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._permit.acquire()
        except TimeoutError:
            raise LoginQueueFull("Too many people are logging in. Try again in a moment.") from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        finally:
            self._permit.release()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
