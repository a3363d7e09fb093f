"""Photos from their encoded bytes: orientation applied, always RGB.

`open_image` opens every image file that comes from elsewhere: by named formats, since Pillow hands
some others (EPS) to programs of their own.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from etils.epath import Path, PathLike
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from wsgcn_jax.data.files import check_file
from wsgcn_jax.resize import within
from wsgcn_jax.types import DataError

MIN_SIDE = 16
"""Photos narrower than this have no cell of their own at output stride 16."""

MAX_PIXELS = 89_000_000
"""Just under the size from which Pillow warns of decompression bombs."""

MAX_BYTES = 6 * MAX_PIXELS
"""Of a photo's file: no more than its pixels at 16 bits a channel, uncompressed."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""Formats of photos; Pillow decodes each within the process."""

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pnm"),
)
"""What their names end in, in lower case."""

_ORIENTATION = 0x0112  # EXIF tag
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # TIFF's tags
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation
_DARK = 4096  # of 65535: a photo that ends below it has fewer bits than its file


@contextlib.contextmanager
def open_image(
    file: bytes | IO[bytes], *, name: str, formats: Sequence[str] = FORMATS
) -> Iterator[Image.Image]:
    """Opens an image; whatever goes wrong until the block's end is a fault of the image.

    Args:
        file: the encoded image.
        name: what to call it in errors.
        formats: names of the formats it may have, as Pillow spells them.

    Yields:
        The image; its pixels are not decoded yet.

    Raises:
        DataError: truncated, broken, of no such format, or larger than `MAX_PIXELS`.
    """
    large = f"{name} has more than {MAX_PIXELS:,} pixels; make it smaller."
    try:
        opened = io.BytesIO(file) if isinstance(file, bytes) else file
        with Image.open(opened, formats=list(formats)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(large)
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(large) from error
    except Exception as error:  # Pillow's decoders raise half a dozen unrelated types
        unknown = isinstance(error, UnidentifiedImageError)
        why = f"it is no {', '.join(formats)}" if unknown else error
        raise DataError(
            f"{name} cannot be decoded ({why}); the file is truncated or broken, replace it."
        ) from error


def decode_photo(data: bytes, *, name: str = "photo", longer_side: int | None = None) -> np.ndarray:
    """Decodes a photo of any common format and mode.

    Args:
        data: the encoded file (JPEG, PNG, WebP ...).
        name: what to call it in errors.
        longer_side: whoever makes the photo so small anyway gets a JPEG decoded at half, a quarter
            or an eighth of its size, but not below this: many times as fast.

    Returns:
        `[h, w, 3] u8` RGB with the EXIF orientation applied; transparency on white.

    Raises:
        DataError: see `open_image`; or numbers that do not say what black and white are.
    """
    with open_image(data, name=name) as image:
        if longer_side is not None:
            image.draft(None, within(image.size, longer_side))
        image.load()
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            grey = Image.fromarray(_grey(image, name))
            return np.array(_turn(grey, orientation(image)).convert("RGB"), np.uint8)
        return np.array(_to_rgb(_turn(image, orientation(image))), np.uint8)


def check_photo(data: bytes, *, name: str) -> tuple[int, int]:
    """Decodes a photo once to see that it can be used.

    Args:
        data: the encoded file.
        name: what to call it in errors.

    Returns:
        Its height and width.

    Raises:
        DataError: as `decode_photo`, or a side shorter than `MIN_SIDE`.
    """
    with warnings.catch_warnings():
        # Strange metadata and the size that is refused anyway: not for the user's eyes.
        warnings.simplefilter("ignore")
        height, width, _ = decode_photo(data, name=name).shape
    if min(height, width) < MIN_SIDE:
        raise DataError(
            f"{name} is {width}x{height}; both sides must be at least {MIN_SIDE} pixels."
        )
    return height, width


def photo_size(path: PathLike) -> tuple[int, int]:
    """Height and width of an upright photo, from its first bytes.

    Raises:
        DataError: see `open_image`; or the file is missing, no file, or larger than `MAX_BYTES`.
    """
    check_file(path, what="photo", most=MAX_BYTES)
    with Path(path).open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_image(file, name=f"photo {path}") as image:
            height, width = stored_size(image)
            lies = orientation(image) >= 5
    return (width, height) if lies else (height, width)


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an opened image as it is stored; Pillow gives those of a TIFF upright."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2[_TIFF_HEIGHT], image.tag_v2[_TIFF_WIDTH]
    return image.height, image.width


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (as stored) to 8; from 5 on, width and height change places.

    An image is as it is stored where its EXIF is damaged: other programs show it so.
    """
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises half a dozen unrelated types
        return 1
    return found if found in range(1, 9) else 1


def turned(stored: np.ndarray, turn: int) -> np.ndarray:
    """Brings what lies on the stored pixels of a photo into the photo's upright frame.

    Args:
        stored: `[h, w] u8`.
        turn: `orientation` of the photo.

    Returns:
        `[h, w]` or `[w, h] u8`.
    """
    return np.asarray(_turn(Image.fromarray(stored), turn))


def _turn(image: Image.Image, turn: int) -> Image.Image:
    """Turns an image as stored upright; `turn` is its `orientation`."""
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _grey(image: Image.Image, name: str) -> np.ndarray:
    """Grey of more than 8 bits as `[h, w] u8`, where its range is certain.

    That is 0..65535 for 16 bits (which Pillow shows as 32 in some formats) and 0..1 for floats.
    """
    values = np.asarray(image)
    largest = float(values.max())
    if image.mode == "F":
        if not (values.min() >= 0 and largest <= 1):
            raise DataError(f"{name} holds floats outside 0..1; save it with 8 or 16 bits.")
        return np.round(values * 255).astype(np.uint8)
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise DataError(f"{name} holds 32-bit integers; save it with 8 or 16 bits.")
    if 0 < largest < _DARK:
        raise DataError(
            f"{name} is nearly black: of 65,535 its 16 bits reach {largest:.0f}; stretch them, "
            "or save it with 8 bits."
        )
    return (values.astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of up to 8 bits to RGB without showing what is transparent."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image.convert("RGB")
