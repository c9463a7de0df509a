"""Free ports and unprivileged users for the servers that tests start."""

import os
import pwd
import socket
from typing import Any


def unprivileged_user() -> dict[str, Any]:
    """Return the arguments for `subprocess` to run as an unprivileged user; empty unless the current user is root."""
    if os.geteuid() != 0:
        return {}
    by_name = {entry.pw_name: entry for entry in pwd.getpwall()}
    unprivileged_user = by_name.get("postgres", by_name["nobody"])
    return {"user": unprivileged_user.pw_uid, "group": unprivileged_user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """Return a port of 127.0.0.1 on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
