"""What the tests' own servers need before they start: a port, and somebody to run as."""

import os
import pwd
import socket
from typing import Any


def unprivileged_user() -> dict[str, Any]:
    """Whom to run as, for subprocess: ourselves, unless that is root."""
    if os.geteuid() != 0:
        return {}
    by_name = {entry.pw_name: entry for entry in pwd.getpwall()}
    unprivileged_user = by_name.get("postgres", by_name["nobody"])
    return {"user": unprivileged_user.pw_uid, "group": unprivileged_user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
