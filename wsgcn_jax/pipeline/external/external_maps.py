"""What others bring beside CAMs: boundary maps and partial labels, one file a photo, as data."""

import io
from typing import NamedTuple

import numpy as np
from etils.epath import Path
from PIL import Image

from wsgcn_jax.numpy_pickles import read_npy, read_npz
from wsgcn_jax.pipeline.external.map_files import (
    Facts,
    check_fits,
    decode_label_map,
    find,
    in_range,
    png_size,
    read_limited,
    reason,
)
from wsgcn_jax.types import IGNORE, DataError

_SUMS = 0.02  # what half precision may leave of sums of probabilities


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
        regions: folder of regions that vote on the final scores (`regions`), or None.
    """

    cams: Path | None
    boundary: Path | None
    seeds: Path | None
    run: Path | None
    regions: Path | None = None


def read_boundary(folder: Path, name: str, facts: Facts) -> np.ndarray:
    """Reads a photo's boundary map from `NAME.png` (grey, white = boundary), `.npz` or `.npy`.

    Args:
        folder: of the files.
        name: of the photo.
        facts: about the photo.

    Returns:
        `[h, w] f32` in [0, 1].

    Raises:
        DataError: there is no such file, it is damaged, or holds something else.
    """
    path = find(folder, name, (".png", ".npz", ".npy"), "boundary map")
    data = read_limited(path, "boundary map", facts)
    try:
        if path.suffix == ".png":
            boundary = _decode_grey(data, facts)
        elif path.suffix == ".npz":
            arrays = read_npz(data, facts.most_bytes())
            known = [arrays[key] for key in ("boundary", "edge") if key in arrays]
            boundary = known[0] if known else _only(arrays, "boundary")
        else:
            boundary = read_npy(data, {})
        if boundary.ndim != 2:
            raise ValueError(f"it is {boundary.shape}, not [h, w]")
        check_fits(boundary.shape, facts.size)
        return in_range(boundary)[0]
    except Exception as error:  # a hostile or broken file may raise anything
        raise DataError(
            f"boundary map {path} is refused ({reason(error)}); give a grey PNG, or an .npz with "
            "boundary [h, w] in 0..1."
        ) from error


def read_seeds(folder: Path, name: str, facts: Facts, *, sure: float = 0.8) -> np.ndarray:
    """Reads a photo's partial labels: a mask, or probabilities with background.

    `NAME.png` is a palette or grey PNG of the photo's size. `NAME.npy` or `NAME.npz` hold
    probabilities or logits `[c, h, w]` of background and all classes, or of background and the
    photo's labels; an `.npz` of `experiments.pseudo_label --scores` is such a file. They count
    among background and the photo's labels only.

    Args:
        folder: of the files.
        name: of the photo.
        facts: about the photo.
        sure: least probability of a label; what lies below stays unlabelled.

    Returns:
        `[h, w] u8`: background, classes of the photo, or 255 where nothing is known.

    Raises:
        DataError: there is no such file, it is damaged, has another size or other classes.
    """
    path = find(folder, name, (".png", ".npz", ".npy"), "partial labels")
    data = read_limited(path, "partial labels", facts)
    try:
        if path.suffix != ".png":
            arrays = {"": read_npy(data, {})} if path.suffix == ".npy" else {}
            scores = _scores(arrays or read_npz(data, facts.most_bytes()), facts)
            return _confident(scores, facts.labels, sure)
        if png_size(data) != facts.size:
            rows, columns = png_size(data)
            raise ValueError(
                f"they are {columns}x{rows}, but the photo is {facts.size[1]}x{facts.size[0]}: "
                "give them its size"
            )
        seeds = decode_label_map(data, facts)
        others = sorted(set(np.unique(seeds).tolist()) - {0, *facts.labels, IGNORE})
        if others:
            raise ValueError(
                f"they have the classes {others}, which the photo is not labelled with: correct "
                f"the labels, or write {IGNORE} there"
            )
        return seeds
    except Exception as error:  # a hostile or broken file may raise anything
        raise DataError(
            f"partial labels {path} are refused ({reason(error)}); give a mask as a palette PNG, "
            "or probabilities [c, h, w] with background."
        ) from error


def _scores(arrays: dict[str, np.ndarray], facts: Facts) -> np.ndarray:
    """Probabilities `[1 + len(labels), h, w]` of background and the photo's labels."""
    present = [0, *facts.labels]
    if "keys" in arrays and "scores" in arrays:
        scores, keys = arrays["scores"], arrays["keys"].tolist()
    else:
        scores = _only(arrays, "scores")
        keys = present if len(scores) == len(present) else list(range(facts.classes))
    if scores.ndim != 3 or len(scores) != len(keys) or not set(present) <= set(keys):
        raise ValueError(
            f"they are {scores.shape}, not [c, h, w] of background and {facts.classes - 1} classes "
            f"or the photo's {len(facts.labels)}"
        )
    check_fits(scores.shape[1:], facts.size)
    scores = scores.astype(np.float32)
    if not np.isfinite(scores).all():
        raise ValueError("a value is NaN or infinite")
    own = scores[[keys.index(label) for label in present]]
    if scores.min() < 0 or scores.max() > 1 + _SUMS:  # logits
        own = np.exp(own - own.max(axis=0))
    return own / np.maximum(own.sum(axis=0), 1e-10)


def _confident(scores: np.ndarray, labels: tuple[int, ...], sure: float) -> np.ndarray:
    best = np.asarray([0, *labels], np.uint8)[scores.argmax(axis=0)]
    return np.where(scores.max(axis=0) >= sure, best, np.uint8(IGNORE))


def _decode_grey(data: bytes, facts: Facts) -> np.ndarray:
    """Decodes a grey PNG to `[h, w] f32` in [0, 1]."""
    check_fits(png_size(data), facts.size)
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.mode not in ("1", "L", "I", "I;16"):
            raise ValueError(f"it is {image.mode}, not grey")
        full = 65535 if image.mode.startswith("I") else 255
        grey = image.convert("L") if image.mode == "1" else image
        return np.asarray(grey).astype(np.float32) / full


def _only(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if len(arrays) != 1:
        raise KeyError(name)
    return next(iter(arrays.values()))
