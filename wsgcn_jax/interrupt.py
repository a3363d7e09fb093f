"""Ctrl-C and SIGTERM: the batch in hand is finished, then the command ends with one line.

    @interrupt.guard()
    def main(argv):
        for batch in batches:
            interrupt.check()
            work(batch)

Python runs a signal's handler between two steps of its own, which may be minutes apart while a
program is compiled. So a thread reads the signals as the system delivers them. A compilation is cut
off, and so is a batch that takes too long. What is cut off is as it would be after `kill -9`: every
artefact is written whole or not at all.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

LINE = "interrupted; the same command goes on"
PATIENCE = 10.0
"""Seconds for the batch in hand."""

_LOOKS = 1.0  # seconds between two looks whether the batch is only being compiled
_COMPILER = os.path.join("jax", "_src", "compiler.py")

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""What is listened to, and the exit status of each."""

_received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """Somebody asked the command to end."""


def requested() -> bool:
    """Tells whether somebody asked the command to end."""
    return bool(_received)


def check() -> None:
    """To be called between batches.

    Raises:
        Interrupted: somebody asked the command to end.
    """
    if requested():
        raise Interrupted


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Ends the process with one line and status 130 (SIGTERM: 143) once it was asked to end.

    It ends at the next `check`, after `PATIENCE` seconds, or at once where it is asked twice.
    In another thread than the main one it does nothing. Jobs of several hosts leave SIGTERM to JAX
    once they are joined.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    awake = signal.set_wakeup_fd(writer)
    over = threading.Event()
    threading.Thread(target=_listen, args=(reader, over), daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        leave()
    finally:
        over.set()
        signal.set_wakeup_fd(awake)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)  # ends the thread


def leave() -> None:
    """Ends the process at once: in an orderly exit threads of XLA and of loaders may crash."""
    status = SIGNALS[signal.Signals(_received[0])] if _received else SIGNALS[signal.SIGINT]
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        print(LINE, file=sys.stderr, flush=True)
    os._exit(status)


def _listen(reader: int, over: threading.Event) -> None:
    """Takes signals until the other end of the pipe is closed."""
    try:
        while numbers := os.read(reader, 16):
            for number in (number for number in numbers if number in SIGNALS):
                _received.append(number)
                if len(_received) > 1:
                    leave()
                threading.Thread(target=_cut_off, args=(over,), daemon=True).start()
    finally:
        os.close(reader)


def _cut_off(over: threading.Event) -> None:
    """Ends the process where the batch in hand is compiled, or takes too long."""
    end = time.monotonic() + PATIENCE
    while not over.wait(min(_LOOKS, PATIENCE)):
        if time.monotonic() >= end or _compiles():
            return leave()


def _compiles() -> bool:
    """Tells whether a thread waits for XLA's compiler."""
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code.co_filename.endswith(_COMPILER):
                return True
            frame = frame.f_back
    return False
