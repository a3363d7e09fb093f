"""Masks as palette PNG files, the way VOC stores them, byte-exact in both directions."""

import io
import os

import numpy as np
from etils.epath import Path
from PIL import Image

from wsgcn_jax.data.files import read_bytes, write_atomic
from wsgcn_jax.data.labels import PALETTE
from wsgcn_jax.types import DataError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # PNG colour types


def encode_png(mask: np.ndarray) -> bytes:
    """Encodes a mask as a PNG with the VOC palette.

    Args:
        mask: `[h, w] u8`, class ids, 255 = ignore.

    Returns:
        The PNG file.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(f"a mask is [h, w] u8, not {mask.shape} {mask.dtype}")
    image = Image.fromarray(np.ascontiguousarray(mask))
    image.putpalette(PALETTE.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(data: bytes, *, name: str = "mask") -> np.ndarray:
    """Decodes a mask from a palette PNG (indices) or an 8-bit greyscale PNG (values).

    Args:
        data: the PNG file.
        name: what to call it in errors.

    Returns:
        `[h, w] u8`.

    Raises:
        DataError: not a PNG, broken, or its pixels are colours instead of class ids.
    """
    if data[:8] != _PNG_SIGNATURE or len(data) < 26:
        raise DataError(f"{name} is not a PNG; save masks as palette or 8-bit grey PNG.")
    depth, colour = data[24], data[25]
    # Pillow stretches grey of fewer bits to 0..255, which would change the class ids.
    if colour not in (_GREY, _PALETTE) or (colour == _GREY and depth != 8):
        raise DataError(
            f"{name} holds colours, not class ids (PNG colour type {colour}, {depth} bits); "
            "save it as a palette or 8-bit grey PNG."
        )
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.array(image, np.uint8)
    except Exception as error:  # Pillow's decoders raise half a dozen unrelated types
        raise DataError(f"{name} is a broken PNG ({error}); save it again.") from error


def write_mask(path: str | os.PathLike[str], mask: np.ndarray) -> None:
    """Writes a mask `[h, w] u8` as a palette PNG, atomically."""
    write_atomic(path, encode_png(mask))


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a mask `[h, w] u8` from a palette or 8-bit grey PNG.

    Raises:
        DataError: the file is missing or holds no mask.
    """
    return decode_png(read_bytes(Path(path), what="mask"), name=f"mask {path}")
