"""What a run says on stderr while it works: a bar on a terminal, a line now and then elsewhere."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

from wsgcn_jax import interrupt

T = TypeVar("T")

_BAR = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}{postfix}"


def log(line: str) -> None:
    """Prints a line on stderr, above a bar if there is one."""
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """Says how long something takes, as exactly as one wants to know: 45 s, 12 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Progress:
    """How far a piece of work is, and how long the rest takes.

    Time in which a program was compiled is left out of the estimate: it does not come back.
    """

    def __init__(
        self,
        what: str,
        total: int,
        *,
        unit: str = "photo",
        work: float | None = None,
        done: int = 0,
        every: float = 10.0,
    ) -> None:
        """Starts the clock.

        Args:
            what: a word for the line.
            total: number of items.
            unit: what an item is.
            work: that of all items, in any measure; None: each item is as much as another.
            done: items that an earlier run did.
            every: seconds between lines, where there is no terminal.
        """
        self._what, self._total, self._unit, self._every = what, total, unit, every
        self._done, self._left = done, float(total - done if work is None else work)
        self._seconds = self._counted = 0.0
        self._items = 0  # that the estimate counts
        self._start = self._last = self._said = time.monotonic()
        self._estimated = False
        columns, rows = shutil.get_terminal_size()  # 80 x 24 where the terminal does not tell
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=what,
            bar_format=_BAR,
            file=sys.stderr,
            disable=not on_terminal,
            leave=False,
            ncols=columns,
            nrows=rows,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def advance(
        self, items: int = 1, *, work: float | None = None, compiled: bool = False, note: str = ""
    ) -> None:
        """Counts finished items.

        Args:
            items: how many.
            work: theirs, in the measure of the whole.
            compiled: their time went into compiling, at least in part.
            note: something about them, for the line.
        """
        now = time.monotonic()
        work = float(items) if work is None else work
        self._done += items
        self._left -= work
        if not compiled:
            self._seconds += now - self._last
            self._counted += work
            self._items += items
        self._last = now
        text = ", ".join(part for part in (self._pace(), note) if part)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(items)
        first_estimate = self._counted > 0 and not self._estimated
        self._estimated |= self._counted > 0
        if self._bar.disable and (first_estimate or now - self._said >= self._every):
            if self._done < self._total:
                log(f"{self._what}: {self._done}/{self._total}, {text}")
            self._said = now

    def close(self) -> None:
        """Removes the bar and says how long it took."""
        self._bar.close()
        if self._done == self._total and self._total:
            taken = duration(time.monotonic() - self._start)
            log(f"{self._what}: {self._total} {self._unit}s in {taken}")

    def _pace(self) -> str:
        if not self._counted:
            return "compiling"
        left = self._seconds * max(self._left, 0.0) / self._counted
        return f"{self._seconds / self._items:.2f} s a {self._unit}, {duration(left)} to go"


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """Yields the items, telling how far it is (`Progress`); the first one may compile.

    Args:
        items: what is worked on, photos.
        what: a word for the line.

    Raises:
        Interrupted: somebody asked the command to end.
    """
    with Progress(what, len(items)) as meter:
        for place, item in enumerate(items):
            interrupt.check()
            yield item
            meter.advance(compiled=place == 0)
