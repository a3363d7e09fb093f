"""Pseudo labels from the maps that are given; what is missing, a run's networks make."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.api.configuration import configuration
from wsgcn_jax.api.inputs import (
    Images,
    Labels,
    PathLike,
    check_mask,
    lay_out,
    named_classes,
)
from wsgcn_jax.api.run import Run, load
from wsgcn_jax.checks import as_array
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.pipeline.external.external_maps import ExternalMaps
from wsgcn_jax.pipeline.external.label_folder import label_folder
from wsgcn_jax.pipeline.external.untrained import untrained_config
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workfolder import run_settings
from wsgcn_jax.pipeline.workfolder.workspace import write_arrays
from wsgcn_jax.types import DataError

Maps = Sequence[np.ndarray] | PathLike
"""One array a photo, or the folder of their files."""


def pseudo_label(
    images: Images,
    labels: Labels = None,
    *,
    classes: Sequence[str] | None = None,
    cams: Maps | None = None,
    boundary: Maps | None = None,
    seeds: Maps | None = None,
    run: Run | PathLike | None = None,
    config: str | ConfigDict | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[np.ndarray]:
    """Labels every pixel of photos, as `experiments.pseudo_label` does.

    Nothing is kept on disk, and a call that was stopped begins anew; for many photos use `train` or
    the command.

    Args:
        images: `[h, w, 3] u8` arrays, or files, one a photo; or a folder of photos.
        labels: as of `train`.
        classes: as of `train`; of a run they are the run's.
        cams: class activation maps in [0, 1], `[k, h', w']` of the k classes of each photo in the
            order of the classes' ids, at any size; or a folder of files.
        boundary: boundary maps in [0, 1], `[h', w']`, at any size; or a folder of files.
        seeds: partial labels `[h, w] u8`, 255 where nothing is known; or a folder of files.
        run: the run whose networks make what is not given.
        config: a name of `configs/`, a file, or a configuration; None: the run's own, or without
            a run "default". Without maps and run it is "photos": ImageNet's head makes the CAMs
            of names that it knows, and a boundary network is trained on the photos.
        settings: keys of the configuration with other values, {"gcn.epochs": 100}.

    Returns:
        Complete masks `[h, w] u8` in the order of the photos, of a folder in that of its list.

    Raises:
        DataError: a photo or something else cannot be used; the message says what and why.
    """
    untrained = cams is boundary is seeds is run is None
    named = config or ("photos" if untrained else None)
    resolved = configuration(_config(named, run), settings or {})
    classes = named_classes(classes)
    keep_compiled_programs()
    with tempfile.TemporaryDirectory() as temporary:
        folder = epath.Path(temporary)
        given = lay_out(images, labels, None, Path(temporary))
        known = _classes(classes, run)
        source = data.FolderSource(given.root, given.labels, classes=known)
        names = source.listing()["train"]

        def write_cams(index: int, cams: np.ndarray) -> None:
            ids = source.read("train", names[index]).labels
            arrays = {"cam": cams, "keys": np.asarray(ids, np.uint8)}
            write_arrays(folder / "cams" / f"{names[index]}.npz", arrays)

        def write_boundary(index: int, boundary: np.ndarray) -> None:
            write_arrays(folder / "boundary" / f"{names[index]}.npz", {"boundary": boundary})

        def write_seeds(index: int, seeds: np.ndarray) -> None:
            mask = check_mask(seeds, f"the mask of seeds {index}")
            data.write_mask(folder / "seeds" / f"{names[index]}.png", mask)

        maps = ExternalMaps(
            _folder_of(cams, folder / "cams", len(names), write_cams),
            _folder_of(boundary, folder / "boundary", len(names), write_boundary),
            _folder_of(seeds, folder / "seeds", len(names), write_seeds),
            None if run is None else _run_folder(run),
        )
        if untrained:
            resolved = untrained_config(resolved, given.root, given.labels, known)
            run_stages(resolved, os.fspath(folder / "run"))
            maps = maps._replace(run=folder / "run", cams=folder / "run" / "cams")
        out = folder / "masks"
        try:
            _, skipped = label_folder(source, maps, resolved, out)
            if skipped:
                raise DataError(f"{skipped[0].name}: {skipped[0].reason}")
        except DataError as error:
            raise DataError(_of_the_caller(str(error), names, folder)) from error
        return [data.read_mask(out / f"{name}.png") for name in names]


def _of_the_caller(reason: str, names: Sequence[str], folder: epath.Path) -> str:
    """What is wrong, maps that were given as arrays called by their place."""
    for what, kind, ending in (
        ("cams", "the CAMs", "npz"),
        ("boundary", "the boundary map", "npz"),
        ("seeds", "the seeds", "png"),
    ):
        for index, name in enumerate(names):
            file = os.fspath(folder / what / f"{name}.{ending}")
            reason = reason.replace(file, f"{kind} of photo {index}")
    return reason


def _config(config: str | ConfigDict | None, run: Run | PathLike | None) -> str | ConfigDict:
    """The run's own configuration, where nothing else is named."""
    own = None if run is None else run_settings.load(_run_folder(run))
    if own is None or run is None:
        return config or "default"
    if config is not None:
        raise DataError("the run's networks go with its own configuration; leave `config` out")
    return run_settings.apply(own, configuration("default", {}), _run_folder(run))


def _run_folder(run: Run | PathLike) -> epath.Path:
    return epath.Path(run.workdir if isinstance(run, Run) else run)


def _classes(classes: tuple[str, ...] | None, run: Run | PathLike | None) -> tuple[str, ...] | None:
    """Background and the names that were given, or the run's; None: those of the labels."""
    if run is not None:
        own = run.classes if isinstance(run, Run) else load(run).classes
        if classes is not None and classes != own[1:]:
            raise DataError(f"the run has the classes {', '.join(own[1:])}; leave `classes` out")
        return own
    return None if classes is None else ("background", *classes)


def _folder_of(
    maps: Maps | None,
    folder: epath.Path,
    count: int,
    write: Callable[[int, np.ndarray], None],
) -> epath.Path | None:
    """The folder of maps that were given as one, or as arrays, which are written there."""
    if maps is None or isinstance(maps, str | os.PathLike):
        return None if maps is None else epath.Path(maps)
    if len(maps) != count:
        raise DataError(f"{len(maps)} {folder.name} for {count} photos; give one for every photo")
    folder.mkdir(parents=True)
    for index, each in enumerate(maps):
        array = as_array(each, f"{folder.name} of photo {index}")
        if array.dtype.kind not in "biuf":
            raise DataError(f"{folder.name} of photo {index} are {array.dtype}; give numbers")
        write(index, array)
    return folder
