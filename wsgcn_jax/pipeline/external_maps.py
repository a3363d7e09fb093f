"""What others bring: CAMs, boundary maps, partial labels, one file a photo, read as data only."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from etils.epath import Path
from PIL import Image

from wsgcn_jax.data import Source
from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.data.palette_png import read_mask
from wsgcn_jax.data.photos import check_photo, decode_photo
from wsgcn_jax.models.torch_weights import TENSOR_CALLS
from wsgcn_jax.numpy_pickles import read_npy_object
from wsgcn_jax.types import IGNORE, DataError, Skipped

_MAX_BYTES = 2**30
_SLACK = 1e-3  # what rounding may leave of [0, 1]


class ExternalMaps(NamedTuple):
    """What there is already.

    Attributes:
        cams: folder of CAMs, or None: the run's classifier makes them.
        boundary: folder of boundary maps, or None: the run's boundary network makes them.
        seeds: folder of partial labels, or None: `seeds.rule` makes them from the CAMs. Where
            there are any, CAMs are not needed.
        run: work folder of a run with a trained classifier and boundary network, or None. Its
            boundary network gives the nodes' features, also where `boundary` is given; without
            it they are `graph_inputs.plain_features`.
    """

    cams: Path | None
    boundary: Path | None
    seeds: Path | None
    run: Path | None


def read_cam(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photo's CAMs from `NAME.npy` (IRNet's) or `NAME.npz`.

    Args:
        folder: of the files.
        name: of the photo.

    Returns:
        (`[k, h, w] f32` in [0, 1], `[k] u8` class ids). IRNet's `keys` count from 0 without
        background, an `.npz` holds class ids as everywhere here: `cam` and `keys`.

    Raises:
        DataError: there is no such file, it is damaged, or holds something else.
    """
    path = _find(folder, name, (".npy", ".npz"), "CAM")
    data = read_bytes(path, what="CAM")
    try:
        if path.suffix == ".npy":
            arrays = read_npy_object(data, TENSOR_CALLS)
            keys = np.asarray(arrays["keys"].get()) + 1
            cam = arrays["cam" if "cam" in arrays else "high_res"].get()
        else:
            arrays = _read_npz(data)
            keys, cam = arrays["keys"], arrays["cam"]
        if cam.ndim != 3 or keys.shape != cam.shape[:1] or cam.size == 0:
            raise ValueError(f"cam is {cam.shape} and keys {keys.shape}, not [k, h, w] and [k]")
        if keys.dtype.kind not in "iu" or keys.min() < 1 or keys.max() > 254:
            raise ValueError("keys are no class ids")
        return _checked(cam), keys.astype(np.uint8)
    except Exception as error:  # a hostile or broken file may raise anything
        raise DataError(
            f"CAM {path} is refused ({_reason(error)}); give IRNet's .npy, or an .npz with cam "
            "[k, h, w] in 0..1 and keys [k]."
        ) from error


def read_labelled_cam(folder: Path, name: str, labels: Sequence[int]) -> np.ndarray:
    """Reads a photo's CAMs of the classes it is labelled with.

    Args:
        folder: of the files.
        name: of the photo.
        labels: class ids.

    Returns:
        `[len(labels), h, w] f32` in [0, 1].

    Raises:
        DataError: see `read_cam`; or a class has no CAM.
    """
    cam, keys = read_cam(folder, name)
    for label in labels:
        if label not in keys:
            raise DataError(
                f"CAM {folder / name} has the classes {keys.tolist()}, but the photo is labelled "
                f"{label}; correct the labels or the CAMs."
            )
    return np.stack([cam[list(keys).index(label)] for label in labels])


def read_boundary(folder: Path, name: str) -> np.ndarray:
    """Reads a photo's boundary map from `NAME.png` (grey, white = boundary) or `NAME.npz`.

    Args:
        folder: of the files.
        name: of the photo.

    Returns:
        `[h, w] f32` in [0, 1].

    Raises:
        DataError: there is no such file, it is damaged, or holds something else.
    """
    path = _find(folder, name, (".png", ".npz"), "boundary map")
    data = read_bytes(path, what="boundary map")
    try:
        if path.suffix == ".png":
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.mode not in ("1", "L", "I", "I;16"):
                    raise ValueError(f"it is {image.mode}, not grey")
                full = 65535 if image.mode.startswith("I") else 255
                grey = image.convert("L") if image.mode == "1" else image
                boundary = np.asarray(grey).astype(np.float32) / full
        else:
            arrays = _read_npz(data)
            known = [arrays[key] for key in ("boundary", "edge") if key in arrays]
            boundary = known[0] if known else _only(arrays)
        if boundary.ndim != 2 or boundary.size == 0:
            raise ValueError(f"it is {boundary.shape}, not [h, w]")
        return _checked(boundary)
    except Exception as error:  # a hostile or broken file may raise anything
        raise DataError(
            f"boundary map {path} is refused ({_reason(error)}); give a grey PNG, or an .npz with "
            "boundary [h, w] in 0..1."
        ) from error


def read_seeds(folder: Path, name: str, labels: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Reads a photo's partial labels from `NAME.png`, a palette or grey PNG of its size.

    Args:
        folder: of the files.
        name: of the photo.
        labels: class ids the photo is labelled with.
        size: (height, width) of the photo.

    Returns:
        `[h, w] u8`: background, classes of the photo, or 255 where nothing is known.

    Raises:
        DataError: there is no such file, it is damaged, has another size or other classes.
    """
    path = _find(folder, name, (".png",), "partial labels")
    seeds = read_mask(path)
    if seeds.shape != size:
        raise DataError(
            f"partial labels {path} are {seeds.shape[1]}x{seeds.shape[0]}, but the photo is "
            f"{size[1]}x{size[0]}; give them the photo's size."
        )
    others = sorted(set(np.unique(seeds).tolist()) - {0, *labels, IGNORE})
    if others:
        raise DataError(
            f"partial labels {path} have the classes {others}, which the photo is not labelled "
            f"with; correct the labels, or write {IGNORE} there."
        )
    return seeds


class Photos:
    """The photos of a source that can be used, read one by one as they are wanted.

    Attributes:
        names, sizes, labels: as of `data.Split`.
        skipped: the photos that cannot be used, and why.
    """

    def __init__(self, source: Source, given: ExternalMaps) -> None:
        """Looks at every photo and its maps once, so that a broken one spoils no batch."""
        names = source.listing()["train"]
        self._source = source
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.labels: list[tuple[int, ...]] = []
        self.skipped: list[Skipped] = []
        for name in names:
            try:
                photo = source.read("train", name)
                size = check_photo(photo.image, name=photo.files[0])
                if not photo.labels:
                    raise DataError(f"{photo.files[0]} has no label; name at least one class.")
                if given.cams:
                    read_labelled_cam(given.cams, name, photo.labels)
                if given.boundary:
                    read_boundary(given.boundary, name)
                if given.seeds:
                    read_seeds(given.seeds, name, photo.labels, size)
            except DataError as error:
                self.skipped.append(Skipped(name, str(error)))
                continue
            self.names.append(name)
            self.sizes.append(size)
            self.labels.append(photo.labels)

    def image(self, index: int) -> np.ndarray:
        """Decodes a photo, `[h, w, 3] u8`."""
        photo = self._source.read("train", self.names[index])
        return decode_photo(photo.image, name=photo.files[0])


def _find(folder: Path, name: str, suffixes: tuple[str, ...], what: str) -> Path:
    for suffix in suffixes:
        path = folder / (name + suffix)
        if path.exists():
            return path
    raise DataError(f"{what} {folder / name}{' or '.join(suffixes)} is missing; make it first.")


def _only(arrays: dict[str, np.ndarray]) -> np.ndarray:
    if len(arrays) != 1:
        raise KeyError("boundary")
    return next(iter(arrays.values()))


def _read_npz(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(file.file_size for file in archive.infolist()) > _MAX_BYTES:
            raise ValueError("it unpacks to more than a gigabyte")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _checked(x: Any) -> np.ndarray:
    """Brings scores to f32, in [0, 1] to the last digit."""
    values = np.array(x, np.float32)  # a copy, in rows
    if not (values.min() >= -_SLACK and values.max() <= 1 + _SLACK):
        raise ValueError("values lie outside 0..1")
    return np.clip(values, 0, 1)


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
