"""What travels between the stages: NamedTuples of arrays, and the errors users meet.

Nothing here computes, but for the text of errors. Dimensions in docstrings: `h w` a photo's
pixels, `H W` the stride-4 grid (`H = (h - 1) // 4 + 1`), `n = H * W` nodes (row-major), `f`
features, `c` classes with 0 = background, `k` the classes present in one photo.
"""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np

IGNORE = 255
"""Label of a pixel that nobody has labelled: never trained on, never scored."""


_JOINERS = "\u200c\u200d"
_NEAR = 0.65  # how alike two names must be (difflib's ratio) for one to be proposed for the other
_MOST, _TAIL = 1000, 300  # characters of a line, and of its end where it is longer


def printable(text: str, *, most: int = _MOST) -> str:
    """Makes text from anyone's files safe to print: one line, nothing a terminal obeys, bounded.

    Args:
        text: any text.
        most: its longest length in characters; the middle of a longer one is left out.

    Returns:
        The text, what cannot be printed as escapes.
    """
    shown = text if len(text) <= most else f"{text[: most - _TAIL]} ... {text[-_TAIL:]}"
    each = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return "".join(each)


def hidden_character(text: str) -> str | None:
    """Returns the first character that cannot be printed; None where there is none.

    A joiner (U+200C, U+200D) between two that can be seen is part of a word of Persian or Hindi, or
    of a picture: it is none.
    """
    for i, character in enumerate(text):
        around = text[i - 1 : i] + text[i + 1 : i + 2]
        joins = character in _JOINERS and len(around) == 2 and " " not in around
        if not character.isprintable() and not (joins and around.isprintable()):
            return character
    return None


def near_name(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that was probably meant; None where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=_NEAR)
    return near[0] if near else None


class DataError(ValueError):
    """Input that cannot be used; the message names the file and the fix.

    Args:
        message: one line, whatever the file's name holds.
        more: lines below it, where several things are wrong.
    """

    def __init__(self, message: str, *more: str) -> None:
        """Keeps the lines, each bounded and safe to print (`printable`)."""
        super().__init__(*map(printable, (message, *more)))

    def __str__(self) -> str:
        return "\n  ".join(self.args)


class Skipped(NamedTuple):
    """A photo that was left out of a run, and why."""

    name: str
    reason: str


class Example(NamedTuple):
    """One photo as the readers give it.

    Attributes:
        name: file stem, unique in its data set.
        image: `[h, w, 3] u8`, RGB.
        labels: `[c - 1] bool`, which foreground classes are present (entry i is class i + 1).
        mask: `[h, w] u8`, true classes with 255 = ignore; None where there is no truth.
            For evaluation only.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray | None


class Features(NamedTuple):
    """A backbone's five taps, `[batch, height, width, channels] f32`.

    Strides 4, 4, 8, 16, 16 at output stride 16 (and 4, 4, 8, 8, 8 at output stride 8);
    sizes are rounded up. `x5` carries the class evidence: CAM and ASPP heads read it.
    """

    x1: jax.Array
    x2: jax.Array
    x3: jax.Array
    x4: jax.Array
    x5: jax.Array
