"""What a run has to do, decided before anything in the work folder is touched."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from etils.epath import Path

from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.workfolder.stamps import Recipe, State
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.types import DataError, Skipped

_MOST_NAMED = 5  # differences in a message


Run = Callable[[Context, Path], Sequence[Skipped]]
"""Does a stage's work in its folder; returns the photos that it had to leave out."""


class Stage(NamedTuple):
    """One stage of the pipeline.

    Attributes:
        name: also of its folder in the work folder.
        needs: the stages it reads.
        sections: of the configuration, or keys `section.key`, that decide its result.
        run: does its work.
        writes: patterns of the files it writes (`fnmatch`).
        one_by_one: whether `run` makes single missing files.
    """

    name: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    run: Run
    writes: tuple[str, ...]
    one_by_one: bool = True


class Plan(NamedTuple):
    """What a run has to do.

    Attributes:
        todo: the stages to run, in order, and what there is of each.
        current: the stages that are wanted and need nothing.
    """

    todo: dict[str, State]
    current: list[str]


def make_plan(
    workspace: Workspace,
    needs: dict[str, tuple[str, ...]],
    recipes: Mapping[str, Recipe],
    wanted: set[str],
    *,
    overwrite: bool,
) -> Plan:
    """Decides which stages run.

    Args:
        workspace: the work folder; it is only read.
        needs: the stages in order, and what each of them reads.
        recipes: what decides each stage's result.
        wanted: the stages that were asked for.
        overwrite: whether artefacts of other recipes may be replaced.

    Raises:
        DataError: there are artefacts of another recipe that may not be replaced, or a stage needs
            another one that is neither current nor wanted.
    """
    states: dict[str, State] = {}
    read: set[str] = set()  # by a stage that runs: every byte of these is looked at
    for name in reversed(needs):
        fingerprint = recipes[name].fingerprint
        states[name] = workspace.state(name, fingerprint, thorough=name in read)
        if name in wanted and states[name].kind != "current":
            read.update(needs[name])
    todo = [name for name in needs if name in wanted and states[name].kind != "current"]
    others = [name for name in todo if states[name].kind == "other"]
    if others and not overwrite:
        raise DataError(
            f"{workspace.root}: {', '.join(others)} there {_made_by(workspace, others, recipes)}; "
            "name another workdir, or let overwrite replace them"
        )
    for name in todo:
        for need in needs[name]:
            if states[need].kind != "current" and need not in todo:
                raise DataError(
                    f"{workspace.root}: stage {name!r} needs {need!r}, which is not current there "
                    f"({_named(states[need])}); add it to stages"
                )
    current = [name for name in needs if name in wanted and name not in todo]
    return Plan({name: states[name] for name in todo}, current)


def _named(state: State) -> str:
    return "made by other settings" if state.kind == "other" else str(state)


def _made_by(workspace: Workspace, others: Sequence[str], recipes: Mapping[str, Recipe]) -> str:
    """Says how the recipes of what is there differ from those that were asked for."""
    found: dict[str, None] = {}
    for name in others:
        stamp = workspace.stamp(name)
        if stamp is None:
            return "were made by another version of this program"
        found.update(dict.fromkeys(differences(stamp.settings, recipes[name].settings)))
    if not found:
        return "build on what was made by other settings"
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"were made by other settings ({', '.join(list(found)[:_MOST_NAMED])}{more})"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names the settings that differ, as `key: before -> after`."""
    found = []
    for key in sorted({*before, *after}):
        old, new = (_text(settings.get(key)) for settings in (before, after))
        if old != new:
            found.append(f"{key}: {old} -> {new}")
    return found


def _text(value: Any) -> str:
    """A setting as it is after a way through JSON, not too long."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_text, value))})"
    text = f"{value:.60}" if isinstance(value, str) else str(value)
    return " ".join(text.split())
