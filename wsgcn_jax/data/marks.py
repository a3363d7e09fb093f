"""The six badges that tell the embedded creatures apart, as colour functions of the plane."""

from collections.abc import Callable

import numpy as np

Mark = Callable[[np.ndarray, np.ndarray], np.ndarray]

_WHITE = (250, 250, 245)
_BLACK = (20, 20, 25)
_RED = (225, 30, 35)
_YELLOW = (255, 215, 0)
_BLUE = (20, 70, 225)
_GREEN = (0, 160, 70)
_MAGENTA = (220, 30, 180)
_ORANGE = (255, 130, 0)


def _paint(shape: np.ndarray, inner: tuple[int, ...], outer: tuple[int, ...]) -> np.ndarray:
    """`inner` where the shape is true, `outer` elsewhere: `[h, w, 3] f32`."""
    return np.where(shape[..., None], np.asarray(inner, np.float32), np.asarray(outer, np.float32))


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    angle = np.mod(np.arctan2(v, u), 2 * np.pi / 5) - np.pi / 5
    reach = 0.40 + 0.50 * (np.abs(angle) / (np.pi / 5)) ** 1.5
    return _paint(np.hypot(u, v) < reach, _YELLOW, _BLACK)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    arm = (np.minimum(np.abs(u), np.abs(v)) < 0.27) & (np.maximum(np.abs(u), np.abs(v)) < 0.82)
    return _paint(arm, _RED, _WHITE)


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    radius = np.hypot(u, v)
    return _paint((radius < 0.30) | (radius > 0.65), _BLUE, _WHITE)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    del v
    return _paint(np.mod(u * 1.5 + 0.25, 1.0) < 0.5, _BLACK, _WHITE)


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _paint((u * v) > 0, _GREEN, _ORANGE)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    inside = (v > -0.48) & (v < 0.80 - 1.75 * np.abs(u))
    return _paint(inside, _WHITE, _MAGENTA)


MARKS: dict[str, Mark] = {
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "stripes": _stripes,
    "checks": _checks,
    "triangle": _triangle,
}
"""By class name: `(u, v) -> [h, w, 3] f32` colours on the unit disc."""
