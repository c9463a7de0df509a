"""Starts a program that may make these system calls and no others: `seccomp.py CALL,CALL,... PROGRAM ARGUMENT...`.

Any other fails with EPERM, for it and all that it starts. A script that needs nothing of ours: it runs from any folder.
"""

import ctypes
import errno
import os
import sys

ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EPERM  # seccomp_init(3)


def load_filter(calls: list[str]) -> None:
    """From now on this process can make these calls only."""
    library = ctypes.CDLL("libseccomp.so.2")  # systemd's own
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(FAIL)))
    for name in calls:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are those of other processors
            _check(library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 0, None))
    _check(library.seccomp_load(context))


def _check(code: int) -> None:
    if code:
        raise OSError(-code, os.strerror(-code))


if __name__ == "__main__":
    load_filter(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
