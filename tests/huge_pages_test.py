"""Large pages: asked for where they make a difference, and once."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.huge_pages import VALUE, VARIABLE, wanted

_GLIBC = ("glibc", "2.36")


@pytest.mark.parametrize(
    ("environment", "system", "libc", "expected"),
    [
        ({}, "always [madvise] never\n", _GLIBC, True),
        ({}, "always [madvise] never\n", ("glibc", "2.35"), True),
        ({}, "always [madvise] never\n", ("glibc", "2.31"), False),
        ({}, "always [madvise] never\n", ("", ""), False),  # musl, macOS
        ({}, "[always] madvise never\n", _GLIBC, False),  # there already
        ({}, "always madvise [never]\n", _GLIBC, False),
        ({}, "", _GLIBC, False),
        ({VARIABLE: "glibc.malloc.check=3"}, "always [madvise] never\n", _GLIBC, False),
    ],
)
def test_wanted_where_the_variable_is_missing_and_would_be_heeded(
    environment, system, libc, expected
):
    assert wanted(environment, system=system, libc=libc) is expected


def test_a_process_starts_once_more_with_its_arguments_and_number():
    code = (
        "import os, sys; from experiments import huge_pages as pages; print(os.getpid());"
        "sys.stdout.flush(); pages.wanted = lambda e, **_: pages.VARIABLE not in e;"
        f"pages.restart_with_huge_pages(); print(os.environ['{VARIABLE}'], sys.argv[1:])"
    )
    environment = {key: text for key, text in os.environ.items() if key != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code, "a b", "--c=d"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    before, after, last = done.stdout.splitlines()
    assert before == after
    assert last == f"{VALUE} ['a b', '--c=d']"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_the_two_starts_is_heeded(number):
    code = (
        f"import os, signal; from experiments import huge_pages as pages; number = {number:d};"
        "heeded = lambda *_: (print('heeded', flush=True), os._exit(3));"
        "signal.signal(number, heeded); again = pages.VARIABLE in os.environ;"
        "pages.wanted = lambda e, **_: not again; start = os.execv;"
        # While one process becomes the other, nobody listens: the system would end it.
        "deaf = lambda: signal.signal(number, signal.SIG_DFL);"
        "os.execv = lambda *a: (deaf(), os.kill(os.getpid(), number), start(*a));"
        "pages.restart_with_huge_pages(); print('not heeded')"
    )
    environment = {key: text for key, text in os.environ.items() if key != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("heeded\n", 3), done.stderr
