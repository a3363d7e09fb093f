"""The order of the stages, what each one reads, and running them."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import getitem
from typing import NamedTuple

import jax
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import data, settings
from wsgcn_jax.compiler import products_of_networks
from wsgcn_jax.data.summary import describe, shortcoming
from wsgcn_jax.distributed import describe_devices, is_primary, wait_for_all
from wsgcn_jax.folders import in_bucket
from wsgcn_jax.pipeline import (
    boundary,
    cams,
    classifier,
    evaluate,
    pseudo_labels,
    run_settings,
    segmenter,
)
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.estimate import estimate
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.workspace import Workspace, fingerprint_of
from wsgcn_jax.types import DataError, Skipped

REVISION = 2
"""Raise when a change of code makes artefacts of older code wrong."""


class Stage(NamedTuple):
    """One stage of the pipeline.

    Attributes:
        name: also of its folder in the work folder.
        needs: the stages it reads.
        sections: of the configuration, or keys `section.key`, that decide its result.
        run: (context, folder) -> photos it had to leave out.
    """

    name: str
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    run: Callable[[Context, Path], Sequence[Skipped]]


def _prepare_data(context: Context, folder: Path) -> Sequence[Skipped]:
    if is_primary() and not in_bucket(folder):
        data.prepare(context.source, folder)
    wait_for_all("prepared")
    _describe(context)
    context.scored()  # its errors come now, not after hours
    names = {name for name in context.splits if name}
    return sorted({skip for name in names for skip in context.split(name).skipped})


def _describe(context: Context) -> None:
    """Says what was read, and what is odd about it."""
    for note in context.source.notes():
        log(note)
    for name in dict.fromkeys(name for name in context.splits if name):
        split = context.split(name)
        log(f"{name}: {describe(split.labels, split.classes, len(split.skipped))}")
    train = context.split(context.config.data.train_split)
    lacks = shortcoming(train.labels, train.classes)
    if lacks and context.config.classifier.get("head") != "imagenet":
        log(lacks)


# What the boundary network reads of `crf`: changing only how seeds or masks are refined must not
# train it again.
_BOUNDARY_CRF = ("ir_labels", "kernel", "longer_side", "sigma_xy", "sigma_rgb", "weight")

STAGES = (
    Stage("data", (), ("data",), _prepare_data),
    Stage(
        "classifier",
        ("data",),
        ("data.longer_side", "backbone", "classifier", "seed"),
        classifier.run,
    ),
    Stage("cams", ("data", "classifier"), ("cams",), cams.run),
    Stage(
        "boundary",
        ("data", "cams"),
        ("backbone", "boundary", *(f"crf.{key}" for key in _BOUNDARY_CRF), "seed"),
        boundary.run,
    ),
    Stage(
        "pseudo_labels",
        ("data", "cams", "boundary"),
        ("graph", "seeds", "crf", "gcn", "seed"),
        pseudo_labels.run,
    ),
    Stage(
        "segmenter",
        ("data", "pseudo_labels"),
        ("data.longer_side", "backbone", "segmenter", "seed"),
        segmenter.run,
    ),
    Stage("evaluate", ("data", "cams", "pseudo_labels", "segmenter"), ("report",), evaluate.run),
)


def _needs(stage: Stage, config: ConfigDict) -> tuple[str, ...]:
    """The fully supervised reference reads the true masks instead of the pseudo labels.

    Whatever supervises it, the segmenter may start from the classifier.
    """
    supervision = config.segmenter.supervision
    start = ("classifier",) if segmenter.needs_classifier(config) else ()
    if stage.name != "segmenter":
        return stage.needs
    return (*(("data",) if supervision == "truth" else stage.needs), *start)


def fingerprints(context: Context) -> dict[str, str]:
    """Says what every stage's artefacts must be made of to be current.

    Args:
        context: the run.

    Returns:
        Fingerprints by stage.
    """
    config = context.config
    prints: dict[str, str] = {}
    for stage in STAGES:
        values = [reduce(getitem, name.split("."), config) for name in stage.sections]
        as_json = [v.to_dict() if isinstance(v, ConfigDict) else v for v in values]
        if stage.name == "data":  # the folder may move; its content decides
            as_json = [context.source.fingerprint(), context.splits]
        prints[stage.name] = fingerprint_of(
            REVISION, stage.name, as_json, [prints[need] for need in _needs(stage, config)]
        )
    return prints


def run_stages(config: ConfigDict, workdir: str) -> list[Skipped]:
    """Runs the configured stages that are not current yet, in order.

    Args:
        config: the configuration; `stages` names the ones to run, or "all".
        workdir: the work folder.

    Returns:
        Every photo that a stage left out, with the reason.

    Raises:
        DataError: the configuration, the input or the work folder cannot be used, or a stage that
            was asked for needs one that is not current.
    """
    settings.check(config)
    wanted = _wanted(config.stages)
    context = Context(config, Workspace(workdir))
    # Its error comes now, not after hours.
    evaluate.class_ids_of(context.source.classes(), config.report.classes)
    workspace = context.workspace
    log(f"on {describe_devices()}")
    prints = fingerprints(context)
    if is_primary():
        run_settings.save(config, context.source.classes(), workspace.root)
    if "segmenter" in wanted and not workspace.is_current("segmenter", prints["segmenter"]):
        segmenter.check_start(config)
    announced = False

    def done(stage: Stage) -> bool:
        return workspace.is_current(stage.name, prints[stage.name])

    for stage in STAGES:
        if done(stage):
            if stage.name in wanted:
                log(f"[{stage.name}] is current")
            continue
        if stage.name not in wanted:
            continue
        for need in _needs(stage, config):
            if not workspace.is_current(need, prints[need]):
                raise DataError(
                    f"{workspace.root}: stage {stage.name!r} needs {need!r}, which is not current "
                    f"there; add it to --config.stages"
                )
        log(f"[{stage.name}]")
        if stage.name != "data" and not announced:
            log(estimate(context, [s.name for s in STAGES if s.name in wanted and not done(s)]))
            announced = True
        with products_of_networks(config.backbone.precision):
            workspace.run(stage.name, prints[stage.name], partial(stage.run, context))
        jax.clear_caches()  # the programs of one stage are no use to the next
    return left_out(workspace)


def left_out(workspace: Workspace) -> list[Skipped]:
    """Returns the photos that the stages of a work folder left out, each once."""
    skipped: dict[Skipped, None] = {}
    for stage in STAGES:
        stamp = workspace.stamp(stage.name)
        skipped.update(dict.fromkeys(stamp.skipped if stamp else ()))
    return list(skipped)


def _wanted(stages: str) -> set[str]:
    if stages == "all":
        return {stage.name for stage in STAGES}
    return {name.strip() for name in stages.split(",")}
