"""Memory in pages of 2 MB for the commands, on Linux.

XLA's CPU backend allocates the temporary arrays of every call and frees them at its end. The C
library takes such arrays from the system and gives them back, and the system clears them in pages
of 4 KB: in a training step 200,000 pages and a third of the time. With larger pages a step takes
four fifths of that. Only a variable that is there when a process starts makes the C library ask for
them, so a command starts itself once more.
"""

import os
import platform
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE, VALUE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"

_SYSTEM = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_SINCE = (2, 35)  # of the C library
_ENDS = (signal.SIGINT, signal.SIGTERM)


def restart_with_huge_pages() -> None:
    """Starts this process once more, with the variable set, where that makes a difference.

    Does not return if it does. The process keeps its number, its files and its arguments. Signals
    that ask it to end wait until the new start listens to them.
    """
    if wanted(os.environ, system=_choices(), libc=platform.libc_ver()):
        os.environ[VARIABLE] = VALUE
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if os.environ.get(VARIABLE) == VALUE:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)


def wanted(environment: Mapping[str, str], *, system: str, libc: tuple[str, str]) -> bool:
    """Tells whether the variable is missing and would be heeded.

    Args:
        environment: of the process.
        system: what the system offers and, in brackets, does: `always [madvise] never`; empty
            where it has no such pages.
        libc: name and version of the C library.
    """
    name, version = libc
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    able = name == "glibc" and numbers >= _SINCE
    return able and "[madvise]" in system and VARIABLE not in environment


def _choices() -> str:
    try:
        return _SYSTEM.read_text()
    except OSError:
        return ""
