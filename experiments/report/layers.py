"""Photos and maps as small pictures in text: WebP for photos, palette PNGs to lie over them."""

import base64
import colorsys
import io

import numpy as np
from PIL import Image

from wsgcn_jax.resize import resize_labels, resize_maps, resize_photo
from wsgcn_jax.types import IGNORE

SIDE = 384
"""The longer side of a picture on the page, at the most."""

_QUALITY = 72  # of WebP: photos of 384 pixels take about 15 kB
_FILL, _EDGE = 140, 255  # opacity inside a region and on its outline, of 255
_UNLABELLED = (245, 245, 245, 120)
_SEEDED_BACKGROUND = (70, 90, 130)
_GLOW = np.array([[122, 4, 90], [214, 45, 75], [250, 130, 40], [255, 236, 120]])  # low to high
_STEPS = 24  # shades of a map of scores
_GOLDEN = 0.618034

MISSED, INVENTED, CONFUSED = (40, 120, 255), (255, 60, 60), (255, 205, 0)
"""Colours of errors: an object not found, one where there is none, one of another class."""


def class_colours(count: int) -> np.ndarray:
    """Returns bright colours, neighbours far apart; the masks' own are too dark over a photo.

    Args:
        count: how many.

    Returns:
        `[count, 3] u8`, RGB.
    """
    colours = [
        colorsys.hls_to_rgb((0.97 + _GOLDEN * i) % 1, (0.56, 0.66, 0.46)[i // 8 % 3], 0.88)
        for i in range(count)
    ]
    return (255 * np.array(colours).reshape(-1, 3)).round().astype(np.uint8)


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Returns height and width on the page: the longer side is `SIDE` at the most."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(scale * height)), max(1, round(scale * width))


def photo(image: np.ndarray) -> str:
    """Compresses a photo `[h, w, 3] u8` to a data URI."""
    buffer = io.BytesIO()
    small = resize_photo(image, shown_size(image.shape[0], image.shape[1]))
    Image.fromarray(small).save(buffer, "WEBP", quality=_QUALITY)
    return _uri("webp", buffer)


def class_map(mask: np.ndarray, colours: np.ndarray, *, background: bool = False) -> str:
    """Draws a label map to lie over the photo: half transparent regions with firm outlines.

    Args:
        mask: `[h, w] u8`, 255 = unlabelled.
        colours: `[c, 3] u8`; class 0 is left clear.
        background: paint class 0 and leave unlabelled pixels clear instead, as seeds need it.

    Returns:
        A data URI.
    """
    small = resize_labels(mask, shown_size(mask.shape[0], mask.shape[1]))
    present = [int(k) for k in np.unique(small)]
    clear = IGNORE if background else 0
    index = np.zeros(small.shape, np.uint8)
    shades = [(0, 0, 0, 0)]
    outline = _outline(small)
    for k in present:
        if k == clear:
            continue
        if k == IGNORE:
            shades.append(_UNLABELLED)
        else:
            rgb = _SEEDED_BACKGROUND if k == 0 else tuple(int(v) for v in colours[k])
            shades.append((rgb[0], rgb[1], rgb[2], _FILL))
        index[small == k] = len(shades) - 1
        # 256 shades are all a palette has; that many classes go without outlines.
        if k not in (0, IGNORE) and len(present) < 100:
            red, green, blue, _ = shades[-1]
            shades.append((red, green, blue, _EDGE))
            index[(small == k) & outline] = len(shades) - 1
    return _palette_png(index, np.array(shades))


def class_scores(maps: np.ndarray, class_ids: np.ndarray, colours: np.ndarray) -> str:
    """Draws score maps: the colour of the best class, the firmer the higher its score.

    Args:
        maps: `[k, h, w] f32` in [0, 1].
        class_ids: `[k] u8`.
        colours: `[c, 3] u8`.

    Returns:
        A data URI.
    """
    maps = resize_maps(maps, shown_size(maps.shape[1], maps.shape[2]))
    steps = min(_STEPS, 255 // len(class_ids))
    level = _level(maps.max(axis=0), steps)
    index = np.where(level > 0, maps.argmax(axis=0) * steps + level, 0)
    fade = np.linspace(0, 225, steps + 1)[1:]
    shades = [(*colours[k], alpha) for k in class_ids for alpha in fade]
    return _palette_png(index, np.array([(0, 0, 0, 0), *shades]))


def glow(x: np.ndarray) -> str:
    """Draws one map of scores, clear = 0, bright = 1.

    Args:
        x: `[h, w] f32` in [0, 1]; clipped, NaN counts as 0.

    Returns:
        A data URI.
    """
    small = resize_maps(np.nan_to_num(x)[None], shown_size(x.shape[0], x.shape[1]))[0]
    at = np.linspace(0, 1, _STEPS + 1)
    rgb = [np.interp(at, np.linspace(0, 1, len(_GLOW)), _GLOW[:, i]) for i in range(3)]
    alpha = 240 * np.minimum(1, 1.6 * at)
    return _palette_png(_level(small, _STEPS), np.stack([*rgb, alpha], axis=-1))


def error_map(mask: np.ndarray, truth: np.ndarray) -> str:
    """Draws where a mask is wrong; unlabelled pixels of either count as right.

    Args:
        mask: `[h, w] u8`.
        truth: `[h, w] u8`.

    Returns:
        A data URI.
    """
    size = shown_size(mask.shape[0], mask.shape[1])
    mine, true = resize_labels(mask, size), resize_labels(truth, size)
    wrong = (mine != true) & (mine != IGNORE) & (true != IGNORE)
    kind = np.where(mine == 0, 1, np.where(true == 0, 2, 3))
    shades = [(0, 0, 0, 0), *((*rgb, 190) for rgb in (MISSED, INVENTED, CONFUSED))]
    return _palette_png(np.where(wrong, kind, 0), np.array(shades))


def _level(x: np.ndarray, steps: int) -> np.ndarray:
    return (np.clip(np.nan_to_num(x), 0, 1) * steps).round().astype(np.int64)


def _outline(mask: np.ndarray) -> np.ndarray:
    """Tells which pixels `[h, w]` have a neighbour of another class to the side or above."""
    edge = np.zeros(mask.shape, bool)
    for axis in (0, 1):
        before, after = (slice(None, -1), slice(1, None))
        first = (before, slice(None)) if axis == 0 else (slice(None), before)
        second = (after, slice(None)) if axis == 0 else (slice(None), after)
        differs = mask[first] != mask[second]
        edge[first] |= differs
        edge[second] |= differs
    return edge


def _palette_png(index: np.ndarray, shades: np.ndarray) -> str:
    """Encodes `[h, w]` indices into `[n, 4]` RGBA shades, n <= 256."""
    shades = shades.round().astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(index, np.uint8))
    picture.putpalette(shades[:, :3].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=shades[:, 3].tobytes())
    return _uri("png", buffer)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
