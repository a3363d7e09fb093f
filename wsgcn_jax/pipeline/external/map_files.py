"""What all readers of maps from elsewhere share: finding files, their bounds, shapes and values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from etils.epath import Path

from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.data.palette_png import decode_png
from wsgcn_jax.types import DataError

CELLS, SHARE = 1, 0.05
"""By how much a map's shape may differ from the photo's: cells of the map, and a share."""

_SLACK = 1e-3  # what rounding may leave of [0, 1]
_LARGEST = 2  # times the photo's sides
_HEADER = 2**16  # bytes


class Facts(NamedTuple):
    """What is known of a photo before its maps are read.

    Attributes:
        labels: class ids, ascending.
        classes: number of classes, background included.
        size: (height, width).
    """

    labels: tuple[int, ...]
    classes: int
    size: tuple[int, int]

    def most_bytes(self) -> int:
        """Bytes that maps of all classes take, in float64 and at the largest size."""
        return 8 * self.classes * _LARGEST**2 * self.size[0] * self.size[1] + _HEADER


def find(folder: Path, name: str, suffixes: tuple[str, ...], what: str) -> Path:
    """Returns a photo's file.

    Args:
        folder: of the files.
        name: of the photo.
        suffixes: of its file, the first that is there counts.
        what: the file is, for the error.

    Raises:
        DataError: there is none.
    """
    for suffix in suffixes:
        path = folder / (name + suffix)
        if path.exists():
            return path
    raise DataError(f"{what} {folder / name}{' or '.join(suffixes)} is missing; make it first.")


def read_limited(path: Path, what: str, facts: Facts) -> bytes:
    """Reads a file that is no larger than the photo's size allows.

    Args:
        path: of the file.
        what: it is, for the error.
        facts: about the photo.

    Raises:
        DataError: it cannot be read, or is larger.
    """
    return read_bytes(path, what=what, most=2 * facts.most_bytes())  # two resolutions in one file


def check_fits(shape: Sequence[int], size: tuple[int, int]) -> None:
    """Refuses a map that is not of the photo's shape.

    A network's map is the photo's size divided by its stride, rounded or padded: one side may be
    off by `CELLS` of the map and by the share `SHARE`, seen from the other.

    Args:
        shape: rows and columns of the map.
        size: (height, width) of the photo.

    Raises:
        ValueError: it has another shape, or is more than twice as large.
    """
    (rows, columns), (height, width) = shape, size
    if min(rows, columns) < 1:
        raise ValueError("it is empty")
    if rows > _LARGEST * height + CELLS or columns > _LARGEST * width + CELLS:
        raise ValueError(f"it is {columns}x{rows}, more than twice the photo's {width}x{height}")
    for one, other in (
        ((rows - CELLS) / height, (columns + CELLS) / width),
        ((columns - CELLS) / width, (rows + CELLS) / height),
    ):
        if one > other * (1 + SHARE):
            raise ValueError(f"it is {columns}x{rows}, not of the photo's shape {width}x{height}")


def in_range(x: np.ndarray, *, scaled: bool = False) -> tuple[np.ndarray, str]:
    """Brings scores to f32 in [0, 1].

    Args:
        x: `[..., h, w]`, numbers.
        scaled: divide each map by its maximum where values lie outside [0, 1], negative ones
            first set to 0, as the projects do that write such files; otherwise they are refused.

    Returns:
        (`[..., h, w] f32`, what was done, in words).

    Raises:
        ValueError: a value is no number or infinite, or lies outside.
    """
    values = np.array(x, np.float32)  # a copy, in rows
    if not np.isfinite(values).all():
        raise ValueError("a value is NaN or infinite")
    low, high = float(np.min(values)), float(np.max(values))
    if low >= -_SLACK and high <= 1 + _SLACK:
        return np.clip(values, 0, 1), "as they are"
    if not scaled:
        raise ValueError(f"values lie outside 0..1, in {low:.3g}..{high:.3g}")
    values = np.maximum(values, 0)
    peak = values.max(axis=(-2, -1), keepdims=True)
    return values / np.maximum(peak, 1e-5), "divided by each map's maximum"


def reason(error: Exception) -> str:
    """Says in one line what is wrong with a file, from what its reader raised."""
    text = " ".join(str(error).split())[:200]
    return f"it has no {text}" if isinstance(error, KeyError) else text


def array(x: Any) -> np.ndarray:
    """Returns a pickle's array or tensor.

    Raises:
        ValueError: it is something else.
    """
    found = x.get() if hasattr(x, "get") else x
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise ValueError("it holds objects where numbers belong")
    return found


def png_size(data: bytes) -> tuple[int, int]:
    """Reads (height, width) off a PNG's first bytes, before anything is unpacked.

    Raises:
        ValueError: it is no PNG.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 26:
        raise ValueError("it is no PNG")
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def decode_label_map(data: bytes, facts: Facts) -> np.ndarray:
    """Decodes a mask `[h, w] u8` that is no larger than its photo allows.

    Raises:
        ValueError: it has another shape; `DataError`: it is no mask.
    """
    check_fits(png_size(data), facts.size)
    return decode_png(data, name="it")
