"""Commands: `python -m experiments.train` and its kin."""

import io
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def _leave(number: int, _: object) -> NoReturn:
    """Ends a command that is still being loaded, as `wsgcn_jax.interrupt` does it later."""
    os.write(2, b"interrupted; the same command goes on\n")
    os._exit(128 + number)


def _print_anything() -> None:
    """Prints what the terminal's encoding lacks as escapes: names have letters of any script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


# "-m" is what Python calls itself until it has found the module to run.
if sys.argv and Path(sys.argv[0]).name in ("-m", "wsgcn"):
    _print_anything()
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _leave)
    # A command that started itself once more held them back until somebody listens.
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
