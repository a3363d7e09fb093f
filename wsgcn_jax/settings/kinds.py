"""Kinds of settings: what a value must be, in code and in words."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from wsgcn_jax.types import hidden_character, near_name


class Kind(Protocol):
    """What the values of a key are.

    Attributes:
        type: of its values, as a ConfigDict keeps them.
    """

    @property
    def type(self) -> type: ...

    def holds(self, value: Any) -> bool:
        """Tells whether a value is one of this kind."""
        ...

    def __str__(self) -> str:
        """Says what is allowed: `a whole number from 1 to 8`."""
        ...


class Flag(NamedTuple):
    """True or False."""

    type: type = bool

    def holds(self, value: Any) -> bool:
        """Tells whether it is True or False."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "True or False"


class Integer(NamedTuple):
    """Whole numbers `low..high`, both included, that are multiples of `multiple`."""

    low: int
    high: int
    multiple: int = 1
    type: type = int

    def holds(self, value: Any) -> bool:
        """Tells whether it is such a number; True and False are none."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and value % self.multiple == 0

    def __str__(self) -> str:
        what = "whole number" if self.multiple == 1 else f"multiple of {self.multiple}"
        return f"a {what} from {self.low} to {self.high}"


class Number(NamedTuple):
    """Finite numbers `low..high`, whole ones too; the ends are included unless said otherwise."""

    low: float
    high: float
    with_low: bool = True
    with_high: bool = True
    type: type = float

    def holds(self, value: Any) -> bool:
        """Tells whether it is such a number; True, False, NaN and the infinities are none."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        above = value >= self.low if self.with_low else value > self.low
        return above and (value <= self.high if self.with_high else value < self.high)

    def __str__(self) -> str:
        low = "at least" if self.with_low else "above"
        high = "at most" if self.with_high else "below"
        return f"a number {low} {self.low:g} and {high} {self.high:g}"


class Choice(NamedTuple):
    """One of a few values, all words or all whole numbers."""

    values: tuple[Any, ...]

    @property
    def type(self) -> type:
        """That of the first value."""
        return type(self.values[0])

    def holds(self, value: Any) -> bool:
        """Tells whether it is one of them."""
        return type(value) is self.type and value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(str(value) for value in self.values)}"


class Text(NamedTuple):
    """Any text in printable characters: names and paths."""

    type: type = str

    def holds(self, value: Any) -> bool:
        """Tells whether it is such a text, not only blanks."""
        return isinstance(value, str) and bool(value.strip()) and hidden_character(value) is None

    def __str__(self) -> str:
        return "a text, not empty, without line breaks"


class Words(NamedTuple):
    """Some of a list of words in one text, commas between; or one word that stands for all."""

    words: tuple[str, ...]
    whole: str | None = None
    type: type = str

    def holds(self, value: Any) -> bool:
        """Tells whether a text names only words of the list, each once, or is the word for all."""
        if not isinstance(value, str) or value == self.whole:
            return isinstance(value, str)
        named = self.named(value)
        return set(named) <= set(self.words) and len(set(named)) == len(named)

    def named(self, value: str) -> list[str]:
        """The words of a text."""
        return [word.strip() for word in value.split(",")]

    def __str__(self) -> str:
        whole = f"{self.whole}, or " if self.whole else ""
        return f"{whole}some of {', '.join(self.words)} with commas between"


class Tuple(NamedTuple):
    """Several values of one kind, `least..most` of them.

    Attributes:
        each: their kind.
        least: how many there must be.
        most: how many there may be.
        ascending: none is smaller than the one before.
        distinct: no two are alike.
    """

    each: Kind
    least: int
    most: int
    ascending: bool = False
    distinct: bool = False
    type: type = tuple

    def holds(self, value: Any) -> bool:
        """Tells whether it is a tuple or a list of such values."""
        if not isinstance(value, tuple | list) or not self.least <= len(value) <= self.most:
            return False
        if not all(self.each.holds(one) for one in value):
            return False
        in_order = not self.ascending or list(value) == sorted(value)
        return in_order and (not self.distinct or len(set(value)) == len(value))

    def __str__(self) -> str:
        count = f"{self.least} to {self.most}" if self.least < self.most else f"{self.least}"
        order = ", the smaller one first" if self.ascending else ""
        different = ", all different" if self.distinct else ""
        return f"a tuple of {count}{different}{order}, each {self.each}"


class Key(NamedTuple):
    """One setting.

    Attributes:
        name: `section.key`, or `key` at the top.
        default: the published value where there is one.
        kind: what its values are.
        meaning: one sentence for users; what None means, too.
        optional: it may be None.
    """

    name: str
    default: Any
    kind: Kind
    meaning: str
    optional: bool = False

    def holds(self, value: Any) -> bool:
        """Tells whether a value is allowed."""
        return (value is None and self.optional) or self.kind.holds(value)

    def allowed(self) -> str:
        """Says what is allowed."""
        return f"{self.kind}{', or None' if self.optional else ''}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Proposes the known word that is most like a wrong one.

    Args:
        word: the wrong one.
        known: those that there are.

    Returns:
        `; did you mean 'walk'?`, or nothing where no known word is near.
    """
    near = near_name(word, known)
    return f"; did you mean {near!r}?" if near is not None else ""
