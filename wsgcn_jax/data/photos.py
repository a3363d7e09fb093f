"""Photos from their encoded bytes: orientation applied, always RGB."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from wsgcn_jax.resize import within
from wsgcn_jax.types import DataError

MIN_SIDE = 16
"""Photos narrower than this have no cell of their own at output stride 16."""

MAX_PIXELS = 89_000_000
"""Just under the size from which Pillow warns of decompression bombs."""


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
        DataError: truncated, broken, no photo at all, or larger than `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{name} has more than {MAX_PIXELS:,} pixels; make it smaller.")
            if longer_side is not None:
                image.draft(None, within(image.size, longer_side))
            return np.array(_to_rgb(ImageOps.exif_transpose(image)), np.uint8)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} has more than {MAX_PIXELS:,} pixels; make it smaller.") from error
    except Exception as error:  # Pillow's decoders raise half a dozen unrelated types
        raise DataError(
            f"{name} cannot be decoded ({error}); the file is truncated or broken, replace it."
        ) from error


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


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB without losing brightness (16-bit grey) or showing what is transparent."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image.convert("RGB")
