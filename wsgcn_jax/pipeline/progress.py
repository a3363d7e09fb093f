"""What a run says on stderr while it works."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from wsgcn_jax import interrupt

T = TypeVar("T")


def log(line: str) -> None:
    """Prints a line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def progress(items: Sequence[T], what: str, *, every: float = 10.0) -> Iterator[T]:
    """Yields the items, telling on stderr now and then how far it is and how long it takes.

    Args:
        items: what is worked on.
        what: a word for the line.
        every: seconds between lines.

    Raises:
        Interrupted: somebody asked the command to end.
    """
    start = last = time.monotonic()
    for done, item in enumerate(items):
        interrupt.check()
        yield item
        now = time.monotonic()
        if now - last >= every or done + 1 == len(items):
            left = (now - start) / (done + 1) * (len(items) - done - 1)
            log(f"{what}: {done + 1}/{len(items)}, {now - start:.0f} s, {left:.0f} s to go")
            last = now
