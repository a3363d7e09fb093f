"""A configuration's values against what the keys and the rules between them allow."""

from collections.abc import Collection, Iterator
from typing import Any

from ml_collections import ConfigDict

from wsgcn_jax.settings.keys import KEYS
from wsgcn_jax.settings.kinds import Choice, Key, Tuple, Words, did_you_mean
from wsgcn_jax.settings.presets import RENAMED
from wsgcn_jax.settings.rules import RULES
from wsgcn_jax.types import DataError

_SHOWN = 80  # characters of a value


def check(config: ConfigDict, *, sections: Collection[str] | None = None) -> None:
    """Refuses a configuration with a value that no run could use.

    Args:
        config: the whole configuration.
        sections: only these, and the keys of these names at the top; None: all.

    Raises:
        DataError: with all faults, one a line: the key, its value, and what is allowed.
    """
    found = list(_faults(_flat(config), sections))
    if len(found) == 1:
        raise DataError(found[0])
    if found:
        raise DataError(f"{len(found)} settings cannot be used:", *found)


def _flat(config: ConfigDict) -> dict[str, Any]:
    """The values by `section.key`, or `key` at the top."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            values.update({f"{name}.{key}": one for key, one in value.items()})
        else:
            values[name] = value
    return values


def _faults(given: dict[str, Any], sections: Collection[str] | None) -> Iterator[str]:
    def asked(name: str) -> bool:
        return sections is None or name.partition(".")[0] in sections

    keys = {key.name: key for key in KEYS if asked(key.name)}
    for name in filter(asked, given):
        if name not in keys:
            yield f"{name}: there is no such key{_called(name)}"
    sound = {}
    for name, key in keys.items():
        if name not in given:
            yield f"{name}: the configuration lacks this key; begin with settings.defaults()"
        elif not key.holds(given[name]):
            yield _line(name, given[name], key.allowed()) + _hint(key, given[name])
        else:
            sound[name] = given[name]
    for rule in RULES:
        try:
            for name, allowed in rule(sound):
                yield _line(name, sound[name], allowed)
        except KeyError:
            continue


def _line(name: str, value: Any, allowed: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return f"{name}={shown}: must be {allowed}"


def _called(name: str) -> str:
    if name in RENAMED:
        return f"; it is called {RENAMED[name]}"
    return did_you_mean(name, [key.name for key in KEYS])


def _hint(key: Key, value: Any) -> str:
    """Proposes the nearest of the words that there are."""
    if isinstance(key.kind, Words) and isinstance(value, str):
        known = (*key.kind.words, *filter(None, [key.kind.whole]))
        unknown = (word for word in key.kind.named(value) if word not in known)
        return did_you_mean(next(unknown, ""), known)
    if isinstance(key.kind, Choice) and isinstance(value, str) and key.kind.type is str:
        return did_you_mean(value, key.kind.values)
    if isinstance(key.kind, Tuple) and isinstance(value, str):
        return "; write (a,) for one value, (a, b) for two"
    return ""
