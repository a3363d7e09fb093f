"""Folders that commands write into: never one whose files they read."""

import os
from collections.abc import Mapping, Sequence

from etils.epath import Path, PathLike

from wsgcn_jax.folders import in_bucket
from wsgcn_jax.types import DataError

_STAGE = "stage.json"  # lies in every folder that a stage of a run owns


def check_output(out: Sequence[PathLike], inputs: Mapping[str, PathLike | None]) -> None:
    """Refuses to write where something is read, whatever links lead there.

    Args:
        out: the folders that files are written into.
        inputs: folders that are read, by what to call them: "the photos' folder"; None: there is
            none of that kind.

    Raises:
        DataError: two are the same folder, or one belongs to a stage of a run.
    """
    for folder in out:
        for place in (Path(_real(folder)), *Path(_real(folder)).parents):
            if (place / _STAGE).exists():
                raise DataError(
                    f"the output folder {folder} belongs to a run; name one outside it."
                )
        for what, path in inputs.items():
            if path is not None and _real(folder) == _real(path):
                raise DataError(
                    f"the output folder {folder} is {what}, whose files would be overwritten; name "
                    "another folder."
                )


def check_work_folder(
    root: PathLike,
    stages: Sequence[str],
    inputs: Mapping[str, PathLike | None],
    walked: Sequence[PathLike] = (),
) -> None:
    """Refuses a work folder in which a run's files would mix with those that it reads.

    Args:
        root: the work folder.
        stages: the folders in it that stages own.
        inputs: folders that are read, by what to call them; None: there is none of that kind.
        walked: folders of which everything below is read, whatever it is called.

    Raises:
        DataError: the work folder is one that is read, or lies in one of which everything is read,
            or an input lies in a stage's folder.
    """
    place = Path(_real(root))
    for what, path in inputs.items():
        if path is None:
            continue
        read = Path(_real(path))
        if read == place:
            raise DataError(f"workdir: {root} is {what}; name another folder.")
        for stage in stages:
            if read.is_relative_to(place / stage):
                raise DataError(
                    f"workdir: {path}, {what}, is what a run in {root} writes; name another folder."
                )
    for folder in walked:
        if place.is_relative_to(_real(folder)):
            raise DataError(
                f"workdir: {root} lies in {folder}, of which everything is read: results "
                "would be taken for photos; name a folder outside it."
            )


def check_foreign(folder: PathLike, stamp: str) -> None:
    """Refuses a folder of masks that somebody else made: they would pass for results.

    Args:
        folder: where masks are going to be written.
        stamp: the file that this command writes before its masks.

    Raises:
        DataError: there are PNG files and no stamp.
    """
    place = Path(folder)
    if not place.is_dir() or (place / stamp).exists():
        return
    found = next(iter(sorted(path.name for path in place.glob("*.png"))), None)
    if found is not None:
        raise DataError(
            f"{folder} holds {found}, which this command did not make; name another output folder."
        )


def _real(path: PathLike) -> str:
    return os.fspath(path).rstrip("/") if in_bucket(path) else os.path.realpath(path)
