"""Pictures of masks: one laid over its photo, several beside each other.

A picture is a Pillow image: a notebook shows it, `save` writes it, `np.asarray` gives its pixels.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wsgcn_jax.checks import Number, Shaped, checked
from wsgcn_jax.data import PALETTE
from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.data.photos import MAX_PIXELS, decode_photo
from wsgcn_jax.resize import resize_photo
from wsgcn_jax.types import IGNORE, DataError

Photo = np.ndarray | str | os.PathLike[str]
"""An array `[h, w, 3] u8`, or a file."""

_P = ParamSpec("_P")

_PHOTO = Shaped("h w 3", "integer", low=0, high=255)
_MASK = Shaped("h w", "integer", low=0, high=255)
_BRIGHT = np.minimum(PALETTE.astype(np.float32) * 4 / 3, 255).round()  # the palette ends at 192
_GAP = 8
_LOW, _HIGH = (255, 235, 120), (215, 20, 30)  # colours of heat
_LINE = 20  # height of a line of text


def _opened(
    function: Callable[Concatenate[np.ndarray, _P], Image.Image],
) -> Callable[Concatenate[Photo, _P], Image.Image]:
    """Lets a function that draws on a photo take the photo's file, too."""

    @functools.wraps(function)
    def call(image: Photo, *args: _P.args, **kwargs: _P.kwargs) -> Image.Image:
        return function(_pixels(image), *args, **kwargs)

    return call


@_opened
@checked(image=_PHOTO, mask=_MASK, opacity=Number(low=0, high=1))
def overlay(
    image: np.ndarray,
    mask: np.ndarray,
    classes: Sequence[str] | None = None,
    *,
    opacity: float = 0.55,
) -> Image.Image:
    """Lays a mask over its photo, in VOC's colours made brighter, the names of its classes below.

    Args:
        image: `[h, w, 3] u8`, or a photo's file.
        mask: `[h, w] u8`; 0 is background and stays clear, 255 (unknown) is white.
        classes: names by id, background first; None: no names.
        opacity: of the colours, in [0, 1].

    Raises:
        DataError: the photo cannot be read, the mask is not of its size, or holds an id without a
            name.
    """
    if isinstance(classes, str):
        raise DataError(f"classes are {classes!r:.100}; give a list of names by id")
    ids = [int(k) for k in np.unique(mask) if k != IGNORE]
    if classes is not None and ids and ids[-1] >= len(classes):
        raise DataError(f"the mask holds class {ids[-1]}, but there are {len(classes)} names")
    colours = _BRIGHT[mask]
    share = np.where(mask == 0, 0.0, opacity)[..., None]
    share = np.where(_outline(mask)[..., None], 1.0, share)
    blended = image * (1 - share) + colours * share
    picture = Image.fromarray(np.round(blended).astype(np.uint8))
    if classes is None:
        return picture
    entries = [(classes[k], tuple(int(v) for v in _BRIGHT[k])) for k in ids if k]
    return _with_legend(picture, entries)


@checked(mask=_MASK)
def colours(mask: np.ndarray) -> Image.Image:
    """Paints a mask `[h, w] u8` in VOC's colours; 255 is cream."""
    return Image.fromarray(PALETTE[mask])


@_opened
@checked(image=_PHOTO, values=Shaped("H W", "number"))
def heat(image: np.ndarray, values: np.ndarray) -> Image.Image:
    """Lays a map over its photo, made grey: yellow where the map is low, red where it is high.

    Args:
        image: `[h, w, 3] u8`, or a photo's file.
        values: `[h, w]` or smaller, in [0, 1]: a CAM, a boundary map, a probability.
    """
    sized = np.asarray(
        Image.fromarray(np.asarray(values, np.float32)).resize(
            image.shape[1::-1], Image.Resampling.BILINEAR
        )
    ).clip(0, 1)[..., None]
    grey = 0.8 * image.mean(axis=2, keepdims=True)
    colour = (1 - sized) * np.array(_LOW) + sized * np.array(_HIGH)
    share = 0.85 * np.sqrt(sized)
    return Image.fromarray(np.round(grey * (1 - share) + colour * share).astype(np.uint8))


@checked(height=Number(low=1, high=10_000, whole=True))
def row(
    images: Sequence[Photo | Image.Image],
    *,
    titles: Sequence[str] | None = None,
    height: int = 240,
) -> Image.Image:
    """Puts pictures beside each other, all of one height.

    Args:
        images: `[h, w, 3] u8`, photos' files or Pillow images.
        titles: a word above each; None: no words.
        height: of the pictures, in pixels.

    Raises:
        DataError: there is no picture, one is none, there is not one title for each, or the row
            would be larger than a photo may be.
    """
    if titles is not None and len(titles) != len(images):
        raise DataError(f"{len(titles)} titles for {len(images)} pictures; give one for each")
    if not len(images):
        raise DataError("there is no picture; give at least one")
    arrays = [_colour(_pixels(image), index) for index, image in enumerate(images)]
    widths = [max(1, round(a.shape[1] * height / a.shape[0])) for a in arrays]
    width = sum(widths) + _GAP * (len(widths) - 1)
    if width * height > MAX_PIXELS:
        raise DataError(f"the row would have {width} x {height} pixels; give a smaller height")
    sized = [resize_photo(a, (height, one)) for a, one in zip(arrays, widths, strict=True)]
    top = _LINE if titles is not None else 0
    picture = Image.new("RGB", (width, height + top), "white")
    draw, left = ImageDraw.Draw(picture), 0
    for index, array in enumerate(sized):
        picture.paste(Image.fromarray(np.asarray(array, np.uint8)), (left, top))
        if titles is not None:
            draw.text((left, 2), str(titles[index]), fill="black", font=_font())
        left += array.shape[1] + _GAP
    return picture


def _pixels(image: Photo | Image.Image) -> np.ndarray:
    """The photo of a file; anything else as it is."""
    if isinstance(image, str | os.PathLike):
        return decode_photo(read_bytes(image, what="photo"), name=f"photo {image}")
    return np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image


def _colour(array: np.ndarray, index: int) -> np.ndarray:
    """Checks that an array is a picture."""
    array = np.asarray(array)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise DataError(
            f"picture {index} is {array.dtype} {array.shape}; give [h, w, 3] uint8, of a mask "
            "`ws.plot.colours`, of a map `ws.plot.heat`"
        )
    return array


def _outline(mask: np.ndarray) -> np.ndarray:
    """`[h, w] bool`: pixels of an object at the edge of their region."""
    edge = np.zeros(mask.shape, bool)
    below, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    edge[1:] |= below
    edge[:-1] |= below
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (mask != 0)


def _with_legend(
    picture: Image.Image, entries: Sequence[tuple[str, tuple[int, ...]]]
) -> Image.Image:
    """Adds coloured squares and names below a picture, on as many lines as they take."""
    left, line = 4, 0
    places: list[tuple[int, int]] = []
    for name, _ in entries:
        wide = 28 + round(_font().getlength(name))
        if left > 4 and left + wide - 12 > picture.width:
            left, line = 4, line + 1
        places.append((left, picture.height + _LINE * line + 4))
        left += wide
    taller = Image.new("RGB", (picture.width, picture.height + _LINE * (line + 1)), "white")
    taller.paste(picture)
    draw = ImageDraw.Draw(taller)
    for (name, colour), (left, top) in zip(entries, places, strict=True):
        draw.rectangle((left, top, left + 11, top + 11), fill=colour)
        draw.text((left + 16, top - 2), name, fill="black", font=_font())
    return taller


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size=13)
