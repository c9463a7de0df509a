"""Start a program with a seccomp filter: `seccomp.py CALL,CALL,... PROGRAM ARGUMENT...`.

All other system calls fail with EPERM, for the program and its child processes. The script imports nothing from this
project, so it runs in any folder.
"""

import ctypes
import errno
import os
import sys

ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EPERM  # seccomp_init(3)


def load_filter(calls: list[str]) -> None:
    """Restrict this process to these system calls."""
    library = ctypes.CDLL("libseccomp.so.2")  # installed with systemd
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(FAIL)))
    for name in calls:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # negative: a call of another processor architecture
            _check(library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 0, None))
    _check(library.seccomp_load(context))


def _check(code: int) -> None:
    if code:
        raise OSError(-code, os.strerror(-code))


if __name__ == "__main__":
    load_filter(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
