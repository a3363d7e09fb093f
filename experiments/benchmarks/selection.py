"""Which value of a setting is best, chosen without looking at what will be reported.

Takes a finished run. For every value of --key and every seed it runs the stages from the first
that reads the key on, up to the segmenter; the stages before are the run's own. Trials are scored,
in percent mIoU, by their pseudo labels of train and by the segmenter's masks of the first half of
val (names in order). The first of --values is what there is: another one wins only if its mean over
the seeds is better by more than a point, since two runs of the same setting differ by that. Only
the winner is scored on the second half. With --record every trial, and every look at the second
half, becomes a line of a file, once. A selection that was stopped goes on by the same command.
"""

import argparse
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from wsgcn_jax import data, settings
from wsgcn_jax.metrics import confusion_matrix
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.evaluate import class_ids_of
from wsgcn_jax.pipeline.inputs import check_inputs
from wsgcn_jax.pipeline.stages import STAGES, carry_out, needs_of, recipes
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.plan import make_plan
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.types import DataError

from ..config_options import override
from .relabel import percent
from .trials import add_trial, read_trials

NOISE = 1.0
"""Points of mIoU by which two runs of one setting may differ."""

_FOLDER = "trials"  # of the run's work folder


class Trial(NamedTuple):
    """One value with one seed, its networks trained.

    Attributes:
        name: of its work folder: the first stage that is its own, and a fingerprint of all that
            decides its masks.
        value: as it was given.
        seed: added to the run's own.
        context: its run.
    """

    name: str
    value: str
    seed: int
    context: Context


class _TrialFolder(Workspace):
    """A work folder that has some stages in common with another one."""

    def __init__(self, root: epath.Path, base: Workspace, common: Collection[str]) -> None:
        super().__init__(root)
        self._base, self._common = base, common

    def folder(self, stage: str) -> epath.Path:
        """Returns the folder of a stage."""
        return self._base.folder(stage) if stage in self._common else super().folder(stage)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is chosen."""
    parser.add_argument("--workdir", type=Path, required=True, help="of a finished run")
    parser.add_argument("--root", type=Path, help="its photos, if they have moved (data.root)")
    parser.add_argument("--key", required=True, help="the setting: segmenter.decoder")
    parser.add_argument("--values", required=True, help="commas between; what there is comes first")
    parser.add_argument("--seeds", type=int, default=2, help="trials of each value (default 2)")
    parser.add_argument("--record", type=Path, help="file that gets a line (JSON) a trial")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Tries every value; returns the scores, the winner and what it scores on the second half."""
    values, redone = split_values(options.values), stages_from(options.key)
    if options.seeds < 1:
        raise DataError("--seeds must be at least 1")
    base = _open_run(options)
    plans = [(value, seed) for value in values for seed in range(options.seeds)]
    configs = [_config(base.config, options.key, value, seed) for value, seed in plans]
    if options.record is not None:
        read_trials(options.record)  # no record, no training
    with base.workspace.locked():
        _check_val(base)
        trials, figures, on_first = [], [], []
        for (value, seed), config in zip(plans, configs, strict=True):
            trial = _train(base, config, value, seed, redone)
            on_first.append((value, _val_score(trial, first_half)))
            scores = {"train": _train_score(trial), "val_first": on_first[-1][1]}
            trials.append(trial)
            figures.append({"value": value, "seed": seed, **scores})
            _note(options, trial, scores)
        winner = choose(on_first)
        seconds = []
        for trial in (trial for trial in trials if trial.value == winner):
            seconds.append(_val_score(trial, second_half))
            _note(options, trial, {"val_second": seconds[-1]})
    print(f"{options.key}={winner} wins")
    return {"key": options.key, "trials": figures, "winner": winner, "val_second": seconds}


def split_values(text: str) -> list[str]:
    """Splits at the commas outside brackets: `1,(0.5,1.0)` are two values.

    Raises:
        DataError: there are not two different ones.
    """
    values = [value.strip() for value in re.split(r",(?![^(]*\))", text)]
    if len(set(values)) < max(2, len(values)) or not all(values):
        raise DataError(f"--values={text}: name at least two, all different")
    return values


def stages_from(key: str) -> list[str]:
    """Returns the stages to run where a key changes: the first that reads it, and those behind.

    Raises:
        DataError: no stage between the data and the scores reads it.
    """
    for place, stage in enumerate(STAGES):
        reads = any(key == part or key.startswith(f"{part}.") for part in stage.sections)
        if reads and stage.name not in ("data", "evaluate") and "." in key:
            return [stage.name for stage in STAGES[place:] if stage.name != "evaluate"]
    raise DataError(f"--key={key}: no stage from the classifier to the segmenter reads it")


def choose(scores: Sequence[tuple[str, float]]) -> str:
    """Chooses a value: the best mean, if it beats that of the first one by more than noise.

    Args:
        scores: (value, score) of every trial.
    """
    each: dict[str, list[float]] = {}
    for value, score in scores:
        each.setdefault(value, []).append(score)
    means = {value: float(np.mean(found)) for value, found in each.items()}
    first, best = next(iter(means)), max(means, key=means.__getitem__)
    return best if means[best] > means[first] + NOISE else first


def first_half(names: Collection[str]) -> set[str]:
    """Returns the photos by which is chosen."""
    return set(sorted(names)[: (len(names) + 1) // 2])


def second_half(names: Collection[str]) -> set[str]:
    """Returns the photos that are reported."""
    return set(names) - first_half(names)


def _open_run(options: argparse.Namespace) -> Context:
    """Opens the run whose stages are used."""
    root = epath.Path(options.workdir)
    own = run_settings.load(root) if root.is_dir() else None
    if own is None:
        raise DataError(f"{root} holds no run; give the work folder of one")
    config = run_settings.apply(own, settings.defaults(), root)
    if options.root is not None:
        config.data.root = str(options.root)
    if config.data.val_split is None:
        raise DataError(f"{root}: a run without data.val_split has nothing to choose by")
    return Context(config, Workspace(root))


def _check_val(base: Context) -> None:
    """Finds true masks in both halves of val, before anything is trained."""
    split = base.split(base.config.data.val_split)
    class_ids_of(split.classes, base.config.report.classes)
    for half in (first_half(split.names), second_half(split.names)):
        if all(split[i].mask is None for i, name in enumerate(split.names) if name in half):
            raise DataError(f"{split}: one of its halves has no true mask; give masks")


def _config(base: ConfigDict, key: str, value: str, seed: int) -> ConfigDict:
    """Returns the configuration of a trial, checked."""
    config = override(base.copy_and_resolve_references(), [f"--config.{key}={value}"]).unlock()
    config.seed += seed
    settings.check(config)
    return config


def _train(
    base: Context, config: ConfigDict, value: str, seed: int, redone: Sequence[str]
) -> Trial:
    """Runs the stages of a trial that are not done."""
    made_of = recipes(Context(config, base.workspace))
    name = f"{redone[0]}-{made_of['segmenter'].fingerprint}"
    common = [stage.name for stage in STAGES if stage.name not in redone]
    made_of |= {stage: recipe for stage, recipe in recipes(base).items() if stage in common}
    folder = base.workspace.root / _FOLDER / name
    context = Context(config, _TrialFolder(folder, base.workspace, common))
    plan = make_plan(context.workspace, needs_of(config), made_of, set(redone), overwrite=False)
    check_inputs(context, plan.todo)
    carry_out(context, plan, made_of)
    return Trial(name, value, seed, context)


def _train_score(trial: Trial) -> float | None:
    """Scores the pseudo labels; None where true masks took their place."""
    context = trial.context
    return _score(context, context.scored(), context.folder("pseudo_labels"), set)


def _val_score(trial: Trial, half: Callable[[Collection[str]], set[str]]) -> float:
    """Scores the segmenter's masks of half of val."""
    context = trial.context
    split = context.split(context.config.data.val_split)
    score = _score(context, split, context.folder("segmenter") / "val", half)
    if score is None:
        raise DataError(f"{split}: all photos of one half had to be left out")
    return score


def _score(
    context: Context,
    split: data.Split,
    masks: epath.Path,
    part: Callable[[Collection[str]], set[str]],
) -> float | None:
    """Scores the masks in a folder, as far as there are any, of part of a split."""
    total = np.zeros((len(split.classes), len(split.classes)), np.int64)
    wanted = part(split.names)
    for index, name in enumerate(split.names):
        path = masks / f"{name}.png"
        if name in wanted and path.exists() and (truth := split[index].mask) is not None:
            total += confusion_matrix(truth, data.read_mask(path), len(split.classes))
    score = percent(total, class_ids_of(split.classes, context.config.report.classes))
    return None if np.isnan(score) else score


def _note(options: argparse.Namespace, trial: Trial, scores: Mapping[str, float | None]) -> None:
    """Prints the scores of a trial, and records them."""
    print(f"{options.key}={trial.value}, seed {trial.seed}: {scores}", flush=True)
    if options.record is None:
        return
    given = [f"--{name}={getattr(options, name)}" for name in ("workdir", "key", "values", "seeds")]
    entry = {
        "trial": trial.name,
        "command": shlex.join(["python", "-m", "experiments.benchmark", "selection", *given]),
        "key": options.key,
        "value": trial.value,
        "seed": trial.seed,
        "scores": scores,
    }
    add_trial(options.record, entry)
