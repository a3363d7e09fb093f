"""Regions of a photo that somebody found without classes, SAM's say: they vote on the scores.

`NAME.json` is SAM's (a list of records, or `annotations` with one, each with a `segmentation` of
COCO's run lengths, compressed or as a list), `NAME.png` a grey or palette PNG in which every value
but 0 is a region, a folder `NAME` holds one black and white PNG a region.
"""

import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from etils.epath import Path
from PIL import Image

from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.pipeline.external.map_files import png_size, reason
from wsgcn_jax.types import DataError

_MOST = 1000  # regions of a photo
_COVERS = 16  # times may they cover the photo
_BYTES = 2**26

Size = tuple[int, int]


def read_regions(folder: Path, name: str, size: Size) -> list[np.ndarray]:
    """Reads a photo's regions, the largest first.

    Args:
        folder: of the files.
        name: of the photo.
        size: (height, width) of the photo.

    Returns:
        The pixels of each region: `[n] i32` indices into the rows of the photo, one after the
        other.

    Raises:
        DataError: there is no such file, it is damaged, or its regions are of another size.
    """
    path = next((p for s in (".json", ".png", "") if (p := folder / (name + s)).exists()), None)
    if path is None:
        raise DataError(f"regions {folder / name}.json or .png are missing; make them first.")
    try:
        if path.is_dir():
            files = sorted(path.glob("*.png"))
            found = (np.flatnonzero(_decode(_read(file), size)) for file in files)
        elif path.suffix == ".png":
            values = _decode(_read(path), size).reshape(-1)
            found = (np.flatnonzero(values == value) for value in np.unique(values) if value)
        else:
            records = _records(_read(path))
            found = (_pixels(record["segmentation"], size) for record in records)
        regions = _bounded(found, size)
    except Exception as error:  # a hostile or broken file may raise anything
        raise DataError(
            f"regions {path} are refused ({reason(error)}); give SAM's JSON, a PNG whose values "
            "are regions, or a folder of black and white PNGs, of the photo's size."
        ) from error
    return sorted(regions, key=lambda region: -region.size)


def vote(scores: np.ndarray, regions: Sequence[np.ndarray]) -> np.ndarray:
    """Gives every pixel of a region the mean of the region's scores.

    Args:
        scores: `[k, h, w] f32`.
        regions: of `read_regions`; where they overlap the last, the smallest, counts.

    Returns:
        `[k, h, w] f32`; pixels of no region keep their scores.
    """
    before = scores.reshape(len(scores), -1)
    after = before.copy()
    for region in regions:
        after[:, region] = before[:, region].mean(axis=1, keepdims=True)
    return after.reshape(scores.shape)


def _bounded(found: Iterable[np.ndarray], size: Size) -> list[np.ndarray]:
    """Collects regions; refuses more than SAM would find."""
    regions: list[np.ndarray] = []
    left = _COVERS * size[0] * size[1]
    for region in found:
        left -= region.size
        if left < 0 or len(regions) == _MOST:
            raise ValueError(f"there are more than {_MOST}, or they cover it {_COVERS} times")
        if region.size:
            regions.append(region.astype(np.int32))
    return regions


def _read(path: Path) -> bytes:
    return read_bytes(path, what="regions", most=_BYTES)


def _decode(data: bytes, size: Size) -> np.ndarray:
    """Decodes the values of a PNG `[h, w]`."""
    _check_size(png_size(data), size)
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16"):
            raise ValueError(f"it is {image.mode}, not grey")
        return np.array(image)


def _records(data: bytes) -> list[Any]:
    found = json.loads(data)
    records = found.get("annotations") if isinstance(found, dict) else found
    if not isinstance(records, list):
        raise ValueError("it holds no list of records")
    return records


def _pixels(segmentation: Any, size: Size) -> np.ndarray:
    """The pixels of COCO's run lengths, which go down the columns, first of those outside."""
    rows, columns = (int(n) for n in segmentation["size"])
    _check_size((rows, columns), size)
    counts = segmentation["counts"]
    if isinstance(counts, str):
        counts = _uncompressed(counts.encode())
    runs = np.asarray(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != rows * columns:
        raise ValueError("its run lengths do not add up to the photo's pixels")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(columns, rows)
    return np.flatnonzero(inside.T)


def _uncompressed(text: bytes) -> list[int]:
    """COCO's text of run lengths: five bits a character, from the fourth on differences."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            bits = text[at] - 48
            value |= (bits & 0x1F) << shift
            more, at, shift = bool(bits & 0x20), at + 1, shift + 5
            if shift > 60 or not 0 <= bits < 64:
                raise ValueError("its run lengths are damaged")
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


def _check_size(found: Size, size: Size) -> None:
    if found != size:
        raise ValueError(f"they are {found[1]}x{found[0]}, but the photo is {size[1]}x{size[0]}")
