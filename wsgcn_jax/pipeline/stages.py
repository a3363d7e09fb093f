"""The order of the stages, what each one reads, and running them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
from etils.epath import Path
from ml_collections import ConfigDict

from wsgcn_jax import settings
from wsgcn_jax.compiler import products_of_networks
from wsgcn_jax.distributed import describe_devices, is_primary, wait_for_all
from wsgcn_jax.folders import disk_errors
from wsgcn_jax.pipeline import (
    boundary,
    cams,
    classifier,
    evaluate,
    prepare,
    pseudo_labels,
    segmenter,
)
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.estimate import estimate
from wsgcn_jax.pipeline.inputs import check_inputs, check_place
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.plan import Plan, Run, Stage, make_plan
from wsgcn_jax.pipeline.workfolder.stamps import Recipe, fingerprint_of
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.types import DataError, Skipped

REVISION = 3
"""Raise when a change of code makes artefacts of older code wrong."""


def _some(run: Run, context: Context, folder: Path) -> Sequence[Skipped]:
    """Does a stage's work on the photos to be labelled; if all of them fail, so does the stage.

    Raises:
        DataError: every photo had to be left out.
    """
    skipped = run(context, folder)
    lost = {photo.name for photo in skipped} | context.left_out("cams")
    photos = context.split(context.config.data.pseudo_split).names
    if skipped and lost.issuperset(photos):
        raise DataError(f"all {len(photos)} photos were left out: {skipped[0].reason}")
    return skipped


# What the boundary network reads of `crf`: changing only how seeds or masks are refined must not
# train it again.
_BOUNDARY_CRF = ("ir_labels", "kernel", "longer_side", "sigma_xy", "sigma_rgb", "weight")
_WEIGHTS = ("weights*", "statistics*")

STAGES = (
    Stage("data", (), ("data",), prepare.run, ("index.json", "records/*"), one_by_one=False),
    Stage(
        "classifier",
        ("data",),
        ("data.longer_side", "backbone", "classifier", "seed"),
        classifier.run,
        _WEIGHTS,
    ),
    Stage("cams", ("data", "classifier"), ("cams",), partial(_some, cams.run), ("*.npz",)),
    Stage(
        "boundary",
        ("data", "cams"),
        ("backbone", "boundary", *(f"crf.{key}" for key in _BOUNDARY_CRF), "seed"),
        boundary.run,
        (*_WEIGHTS, "labels/*.png"),
    ),
    Stage(
        "pseudo_labels",
        ("data", "cams", "boundary"),
        ("graph", "seeds", "crf", "gcn", "seed"),
        partial(_some, pseudo_labels.run),
        ("*.png", "*.npz", "*.json"),
    ),
    Stage(
        "segmenter",
        ("data", "pseudo_labels"),
        ("data.longer_side", "backbone", "segmenter", "seed"),
        segmenter.run,
        (*_WEIGHTS, "presence/*", "network.json", "val/*"),
    ),
    Stage(
        "evaluate",
        ("data", "cams", "pseudo_labels", "segmenter"),
        ("report.classes",),
        evaluate.run,
        ("*.json",),
    ),
)

# The photos may move, and a list may be written otherwise: their content decides. The size at which
# they are seen is nothing to the records.
_PLACES = {"source", "root", "labels", "masks", "num_train", "num_val", "longer_side"}
_CONTENT = "the photos, masks and labels"


def needs_of(config: ConfigDict) -> dict[str, tuple[str, ...]]:
    """Returns the stages in order, and what each of them reads.

    The fully supervised reference reads the true masks instead of the pseudo labels. Whatever
    supervises it, the segmenter may start from the classifier.
    """
    supervision = config.segmenter.supervision
    needs = {stage.name: stage.needs for stage in STAGES}
    start = ("classifier",) if segmenter.needs_classifier(config) else ()
    masks = ("data",) if supervision == "truth" else needs["segmenter"]
    return {**needs, "segmenter": (*masks, *start)}


def recipes(context: Context) -> dict[str, Recipe]:
    """Says what every stage's artefacts must be made of to be current.

    Args:
        context: the run.

    Returns:
        Recipes by stage.

    Raises:
        DataError: the photos cannot be listed, or the segmenter cannot start as it shall.
    """
    content = context.source.fingerprint()[:16]
    config = classifier.as_needed(context.config, context.source.classes()[1:])
    needs, found = needs_of(config), dict[str, Recipe]()
    for stage in STAGES:
        settings = _settings(config, stage.sections)
        decides = settings
        if stage.name == "data":
            decides = {k: v for k, v in settings.items() if k.removeprefix("data.") not in _PLACES}
            decides[_CONTENT] = settings[_CONTENT] = content
        upstream = [found[need].fingerprint for need in needs[stage.name]]
        fingerprint = fingerprint_of(REVISION, stage.name, decides, upstream)
        found[stage.name] = Recipe(fingerprint, settings)
    return found


def _settings(config: ConfigDict, sections: Sequence[str]) -> dict[str, Any]:
    """The settings of some sections, by their whole names."""
    flat: dict[str, Any] = {}
    for name in sections:
        section, _, key = name.partition(".")
        value = config[section][key] if key else config[section]
        if isinstance(value, ConfigDict):
            flat.update({f"{name}.{key}": entry for key, entry in value.to_dict().items()})
        else:
            flat[name] = value
    return flat


def fingerprints(context: Context) -> dict[str, str]:
    """Returns the fingerprints of `recipes`, by stage."""
    return {name: recipe.fingerprint for name, recipe in recipes(context).items()}


def is_evaluated(context: Context) -> bool:
    """Tells whether the scores in the work folder are those of this very configuration."""
    fingerprint = recipes(context)["evaluate"].fingerprint
    return context.workspace.is_current("evaluate", fingerprint)


def run_stages(config: ConfigDict, workdir: str, *, overwrite: bool = False) -> list[Skipped]:
    """Runs the configured stages that are not current yet, in order.

    Settings, input and what lies in the work folder are all checked before any of it is touched.

    Args:
        config: the configuration; `stages` names the ones to run, or "all".
        workdir: the work folder.
        overwrite: whether artefacts of other settings or photos may be replaced.

    Returns:
        Every photo that a stage left out, with the reason.

    Raises:
        DataError: the configuration, the input or the work folder cannot be used, a stage that was
            asked for needs one that is not current, the folder holds what other settings made, or
            another run works there.
    """
    settings.check(config)
    wanted = _wanted(config.stages)
    check_place(config, workdir, [stage.name for stage in STAGES])
    context = Context(config, Workspace(workdir))
    workspace = context.workspace
    log(f"on {describe_devices()}")
    with workspace.locked():
        made_of = recipes(context)
        plan = make_plan(workspace, needs_of(config), made_of, wanted, overwrite=overwrite)
        check_inputs(context, plan.todo)
        wait_for_all("planned")
        if is_primary():
            run_settings.save(config, context.source.classes(), workspace.root)
        carry_out(context, plan, made_of, overwrite=overwrite)
        if is_primary() and workspace.is_current("evaluate", made_of["evaluate"].fingerprint):
            evaluate.publish(context)
    return left_out(workspace, made_of)


def left_out(workspace: Workspace, made_of: Mapping[str, Recipe] | None = None) -> list[Skipped]:
    """Returns the photos that the stages of a work folder left out, each once.

    Args:
        workspace: the work folder.
        made_of: only of stages made by these recipes; None: of all.
    """
    skipped: dict[Skipped, None] = {}
    for stage in STAGES:
        stamp = workspace.stamp(stage.name)
        if stamp and (made_of is None or stamp.fingerprint == made_of[stage.name].fingerprint):
            skipped.update(dict.fromkeys(stamp.skipped))
    return list(skipped)


def carry_out(
    context: Context, plan: Plan, made_of: Mapping[str, Recipe], *, overwrite: bool = False
) -> None:
    """Runs the stages of a plan.

    Args:
        context: the run.
        plan: what is to do.
        made_of: the recipes of all stages.
        overwrite: whether artefacts of other recipes may be replaced.
    """
    announced = False
    for stage in STAGES:
        if stage.name in plan.current:
            log(f"[{stage.name}] is current")
        if stage.name not in plan.todo:
            continue
        state = plan.todo[stage.name]
        log(f"[{stage.name}]{f' {state}; it is made again' if state.damaged else ''}")
        if stage.name != "data" and not announced:
            log(estimate(context, [name for name in plan.todo if name != "data"]))
            announced = True
        precision = context.config.backbone.precision
        with products_of_networks(precision), disk_errors(context.workspace.root):
            context.workspace.run(
                stage.name,
                made_of[stage.name],
                partial(stage.run, context),
                writes=stage.writes,
                one_by_one=stage.one_by_one,
                overwrite=overwrite,
            )
        jax.clear_caches()  # the programs of one stage are no use to the next


def _wanted(stages: str) -> set[str]:
    if stages == "all":
        return {stage.name for stage in STAGES}
    return {name.strip() for name in stages.split(",")}
