"""Masks as palette PNG files, the way VOC stores them, byte-exact in both directions."""

import io
import itertools
import os
from pathlib import Path

import numpy as np
from PIL import Image

from wsgcn_jax.data.files import read_bytes, write_atomic
from wsgcn_jax.data.labels import PALETTE
from wsgcn_jax.data.photos import MAX_BYTES, open_image
from wsgcn_jax.types import DataError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # PNG colour types
# In any case, the usual one first.
_ENDINGS = tuple(f".{''.join(letters)}" for letters in itertools.product("pP", "nN", "gG"))
_ID_OF_COLOUR = {int(np.dot(c, (1, 256, 65536))): i for i, c in enumerate(PALETTE.astype(int))}


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


def is_grey(data: bytes) -> bool:
    """Whether a PNG file is grey without transparency, so that its values are class ids."""
    return data[25] == _GREY


def decode_png(data: bytes, *, name: str = "mask") -> np.ndarray:
    """Decodes a mask whose class ids are certain.

    They are the indices of a palette PNG, the values of a grey one of any depth, or the places in
    VOC's palette of a colour one that holds only such colours. Transparency must be none.

    Args:
        data: the PNG file.
        name: what to call it in errors.

    Returns:
        `[h, w] u8`.

    Raises:
        DataError: not a PNG, broken, other colours, VOC's colours at other places of the palette
            than theirs, or values above 255.
    """
    if data[:8] != _PNG_SIGNATURE or len(data) < 26:
        raise DataError(f"{name} is not a PNG; save masks as palette or 8-bit grey PNG.")
    depth, colour = data[24], data[25]
    with open_image(data, name=name, formats=["PNG"]) as image:
        if colour == _PALETTE:
            return _ids_of_palette(image, name)
        if colour == _GREY:
            return _ids_of_grey(np.array(image), depth, name)
        if depth == 8:
            colours = np.array(image.convert("RGBA"))
            if (colours[..., 3] == 255).all():
                grey = colour & 2 == 0
                ids = colours[..., 0] if grey else _ids_of_colours(colours[..., :3])
                if ids is not None:
                    return ids
    raise DataError(
        f"{name} holds colours that are not those of VOC's masks, or is transparent "
        f"(PNG colour type {colour}, {depth} bits); save it as a palette or 8-bit grey PNG."
    )


def _ids_of_palette(image: Image.Image, name: str) -> np.ndarray:
    """The indices; a palette of VOC's colours in another order contradicts them.

    Programs that make a palette of a picture's own colours write such masks.
    """
    ids = np.array(image, np.uint8)
    palette = np.asarray(image.getpalette() or (), np.int64).reshape(-1, 3)
    if np.array_equal(palette, PALETTE[: len(palette)]):
        return ids
    used = np.flatnonzero(np.bincount(ids.reshape(-1))).tolist()
    if len(used) > 1 and used[-1] < len(palette):
        places = [_ID_OF_COLOUR.get(int(code)) for code in palette[used] @ (1, 256, 65536)]
        if None not in places and len(set(places)) == len(places) and places != used:
            raise DataError(
                f"{name} has VOC's colours at other places of its palette, so that colour and "
                "index name different classes; save it as an RGB or 8-bit grey PNG."
            )
    return ids


def _ids_of_grey(values: np.ndarray, depth: int, name: str) -> np.ndarray:
    """The values as they are in the file: of fewer than 8 bits Pillow stretches them to 255."""
    if depth < 8:
        bright = values.astype(np.uint8) if values.dtype != bool else values * np.uint8(255)
        return (bright // (255 // (2**depth - 1))).astype(np.uint8)
    if values.max() > 255:
        raise DataError(f"{name} holds the value {values.max()}; class ids end at 255.")
    return values.astype(np.uint8)


def _ids_of_colours(colours: np.ndarray) -> np.ndarray | None:
    """Places in VOC's palette of `[h, w, 3] u8`; None where a colour is not in it."""
    codes = colours.astype(np.int32) @ np.array([1, 256, 65536], np.int32)
    found, where = np.unique(codes, return_inverse=True)
    ids = [_ID_OF_COLOUR.get(int(code)) for code in found]
    if None in ids:
        return None
    return np.asarray(ids, np.uint8)[where].reshape(codes.shape)


def mask_file(folder: Path, name: str) -> Path:
    """Finds a mask's file, whose ending may be in any case.

    Args:
        folder: of the masks.
        name: of the mask, without ending, with `/` between folders.

    Returns:
        The file; where there is none, `NAME.png`.
    """
    files = [folder / f"{name}{ending}" for ending in _ENDINGS]
    return next((file for file in files if file.exists()), files[0])


def write_mask(path: str | os.PathLike[str], mask: np.ndarray) -> None:
    """Writes a mask `[h, w] u8` as a palette PNG, atomically."""
    write_atomic(path, encode_png(mask))


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a mask `[h, w] u8` from a PNG (`decode_png`).

    Raises:
        DataError: the file is missing or holds no mask.
    """
    return decode_png(read_bytes(path, what="mask", most=MAX_BYTES), name=f"mask {path}")
