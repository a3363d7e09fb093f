"""ImageNet's thousand classes by name, and which of them a word stands for.

imagenet_names.txt holds the names (WordNet's, several a class), imagenet_groups.txt the words that
stand for several classes.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from functools import cache
from importlib import resources

from wsgcn_jax.types import DataError

_KNOWN_POORLY = ("person", "people", "human", "man", "woman")
_NEAREST = 3
_SHOWN = 4


def imagenet_groups(
    names: Sequence[str], *, needed: Collection[str] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Finds the ImageNet classes that class names stand for.

    Names are compared by their letters and digits: "Dining_Table" is "dining table", and "dogs"
    is "dog".

    Args:
        names: of classes, without background: "dog", "tabby", "wine_glass".
        needed: those that must have a counterpart; None: all.

    Returns:
        Per name its ImageNet classes, 0..999, ascending; none where it has no counterpart.

    Raises:
        DataError: a name that needs a counterpart has none; the message lists the nearest
            names that have one.
    """
    groups = tuple(_group(name) for name in names)
    must = names if needed is None else needed
    lacking = [n for n, group in zip(names, groups, strict=True) if n in must and not group]
    if lacking:
        listed = "; ".join(f"{name!r} (nearest: {', '.join(_nearest(name))})" for name in lacking)
        raise DataError(
            f"ImageNet's classes have no counterpart of {listed}; rename the classes, or train "
            "a classifier with classifier.head=random and cams.sources=trained"
        )
    return groups


def describe_group(group: Sequence[int]) -> str:
    """Names the classes of a group: `tabby, tiger cat, Persian cat, Siamese cat and 1 more`."""
    if not group:
        return "nothing"
    first = [imagenet_names()[index][0] for index in group[:_SHOWN]]
    more = len(group) - _SHOWN
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def is_known_poorly(name: str) -> bool:
    """Tells whether most of what a word means looks otherwise than its ImageNet classes."""
    return _letters(name).removesuffix("s") in _KNOWN_POORLY


@cache
def imagenet_names() -> tuple[tuple[str, ...], ...]:
    """Returns the names of every class, the usual one first."""
    return tuple(tuple(line.split(", ")) for line in _lines("imagenet_names.txt"))


@cache
def _table() -> dict[str, tuple[int, ...]]:
    """Classes by word; what imagenet_groups.txt says of a word goes before ImageNet's names."""
    table: dict[str, tuple[int, ...]] = {}
    for index, names in enumerate(imagenet_names()):
        for name in names:
            others = table.get(_letters(name), ())
            table[_letters(name)] = others if index in others else (*others, index)
    for words, numbers in _group_lines():
        group = tuple(n for part in numbers.split() for n in _numbers(part))
        table.update((_letters(word), group) for word in words)
    return table


def _words() -> list[str]:
    """All words of both files, as they are written there."""
    groups = [word for words, _ in _group_lines() for word in words]
    return [*(name for names in imagenet_names() for name in names), *groups]


def _group_lines() -> list[tuple[list[str], str]]:
    """The words and the numbers of every line of imagenet_groups.txt."""
    lines = [line for line in _lines("imagenet_groups.txt") if not line.startswith("#")]
    parts = [line.partition(":") for line in lines]
    return [(words.split(", "), numbers) for words, _, numbers in parts]


def _group(name: str) -> tuple[int, ...]:
    """Looks a word up, as it is or without a plural's s; empty where it has no counterpart."""
    word = _letters(name)
    return _table().get(word) or _table().get(word.removesuffix("s")) or ()


def _numbers(part: str) -> range:
    """Reads `7` or `7-24`."""
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _nearest(name: str) -> list[str]:
    """The words that are spelt most alike; first one that the name holds or that holds it."""
    known = {_letters(word): word for word in _words() if _group(word)}
    wanted = _letters(name)
    within = [word for word in known if len(word) > 2 and (word in wanted or wanted in word)]
    closest = sorted(within, key=lambda word: abs(len(word) - len(wanted)))[:1]
    alike = difflib.get_close_matches(wanted, known, n=_NEAREST, cutoff=0.0)
    return [known[word] for word in dict.fromkeys([*closest, *alike])][:_NEAREST]


def _lines(file: str) -> list[str]:
    return resources.files("wsgcn_jax.models").joinpath(file).read_text("utf-8").splitlines()
