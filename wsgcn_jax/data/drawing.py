"""What the embedded photos are drawn with: grounds, clutter, bodies, badges, light."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from wsgcn_jax.data.marks import Mark

_LENGTHS = (34.0, 56.0)
_CONTRAST = 70.0  # of a body to what it lies on, RGB distance
_TRIES = 50
_NEAR = 8.0  # how far round a body its surroundings count, pixels


class Figure(NamedTuple):
    """A chain of discs: the signed distance to it is its form.

    Attributes:
        centres: `[k, 2] f64`, row and column.
        radii: `[k] f64`.
        badge: row, column, radius and turn of the badge.
    """

    centres: np.ndarray
    radii: np.ndarray
    badge: tuple[float, float, float, float]


def random_figure(rng: np.random.Generator, height: int, width: int) -> Figure:
    """A bent body with a head at one end that carries the badge."""
    length = min(rng.uniform(*_LENGTHS), 0.62 * max(height, width))
    thick = length * rng.uniform(0.2, 0.28)
    steps = np.linspace(0, 1, 36)
    bend = rng.uniform(-1.3, 1.3)
    heading = rng.uniform(0, 2 * np.pi) + bend * steps + 0.35 * np.sin(2 * np.pi * steps)
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], -1), axis=0) * length / 36
    # Thin at both ends, a belly between, and a disc for the head.
    belly = rng.uniform(0.35, 0.7)
    radii = thick * (0.55 + 0.45 * np.cos(np.clip((steps - belly) * 3.2, -np.pi, np.pi)))
    head = max(12.5, 0.9 * thick)
    radii[0] = head
    centre = path.mean(0)
    spread = np.abs(path - centre).max(0) + head
    room = np.array([height, width]) - 2 * spread
    shift = np.where(
        room > 0, spread + rng.random(2) * np.maximum(room, 0), np.array([height, width]) / 2
    )
    path = path + (shift - centre)
    return Figure(path, radii, (path[0, 0], path[0, 1], head - 1.5, rng.uniform(-0.5, 0.5)))


def distance_to(figure: Figure, height: int, width: int) -> np.ndarray:
    """Signed distance `[h, w] f32` to the figure's edge, negative inside, inf far away."""
    distance = np.full((height, width), np.inf, np.float32)
    reach = figure.radii.max() + _NEAR
    low = np.floor(figure.centres.min(0) - reach).astype(int).clip(0)
    high = np.ceil(figure.centres.max(0) + reach).astype(int)
    rows, cols = (
        np.arange(a, min(b, n), dtype=np.float32)
        for a, b, n in zip(low, high, (height, width), strict=True)
    )
    box = distance[low[0] : high[0], low[1] : high[1]]
    for (row, col), radius in zip(figure.centres.astype(np.float32), figure.radii, strict=True):
        squares = np.square(rows - row)[:, None] + np.square(cols - col)[None, :]
        np.minimum(box, np.sqrt(squares) - np.float32(radius), out=box)
    return distance


def badge_distance(figure: Figure, height: int, width: int) -> np.ndarray:
    """Signed distance `[h, w] f32` to the edge of the figure's badge."""
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    row, col, radius, _ = figure.badge
    return np.hypot(rows - row, cols - col) - radius


def _smooth_noise(
    rng: np.random.Generator, height: int, width: int, cell: int, channels: int = 1
) -> np.ndarray:
    """Noise `[h, w, channels] f32` of about unit size that changes over `cell` pixels."""
    grid = rng.standard_normal((channels, height // cell + 2, width // cell + 2))
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), 3))
        for plane in grid
    ]
    return np.stack(planes, axis=-1)


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A scene of two gently textured grounds with a wavy border: `[h, w, 3] f32`."""
    base = rng.uniform(70, 190) + rng.uniform(-22, 22, size=(2, 3))
    level = height * rng.uniform(0.2, 0.8) + 5 * _smooth_noise(rng, 1, width, 24)[0, :, 0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    blend = np.clip((rows - level[None, :]) / 6 + 0.5, 0, 1)[..., None]
    image = base[0] * (1 - blend) + base[1] * blend
    image = image + rng.uniform(4, 8) * _smooth_noise(rng, height, width, 28)
    image = image + rng.uniform(3, 6) * _smooth_noise(rng, height, width, 6)
    return (image + 3 * _smooth_noise(rng, height, width, 12, 3)).astype(np.float32)


def draw_clutter(rng: np.random.Generator, image: np.ndarray) -> None:
    """Draws a stone or a board without a badge: background."""
    height, width, _ = image.shape
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    y, x = rows - rng.uniform(0, height), cols - rng.uniform(0, width)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    long, short = rng.uniform(6, 14), rng.uniform(2.5, 6)
    if rng.random() < 0.5:
        distance = (np.hypot(u / long, v / short) - 1) * short
    else:
        distance = np.maximum(np.abs(u) - long, np.abs(v) - short)
    colour = image.mean((0, 1)) + rng.uniform(-55, 55) + rng.uniform(-15, 15, size=3)
    alpha = np.clip(0.5 - distance, 0, 1)[..., None]
    image += alpha * (colour.astype(np.float32) - image)


def draw_body(rng: np.random.Generator, image: np.ndarray, distance: np.ndarray) -> None:
    """Fills a figure with mild texture in a colour that stands out from what it lies on."""
    height, width, _ = image.shape
    around = image[(distance > 0) & (distance < _NEAR)][::7]
    for _ in range(_TRIES):
        colour = rng.uniform(30, 225, size=3)
        # Not the mean: the body of a neighbour is a small part of what is around.
        if np.quantile(np.linalg.norm(around - colour, axis=-1), 0.05) > _CONTRAST:
            break
    body = colour + rng.uniform(2, 6) * _smooth_noise(rng, height, width, 9)
    body = body - 16 * np.clip(1 + distance / 5, 0, 1)[..., None]  # rounder towards the edge
    alpha = np.clip(0.5 - distance, 0, 1)[..., None]
    image += (alpha * (body - image)).astype(np.float32)


def draw_badge(rng: np.random.Generator, image: np.ndarray, figure: Figure, mark: Mark) -> None:
    """Draws a class's badge on the head, three samples a pixel and side."""
    row, col, radius, turn = figure.badge
    top, left = int(row - radius) - 1, int(col - radius) - 1
    side = int(2 * radius) + 4
    steps = (np.arange(3 * side) + 0.5) / 3 - 0.5
    y, x = np.meshgrid((steps + top - row) / radius, (steps + left - col) / radius, indexing="ij")
    u, v = x * np.cos(turn) + y * np.sin(turn), x * np.sin(turn) - y * np.cos(turn)
    alpha = (np.hypot(u, v) < 1)[..., None].astype(np.float32)
    colours = mark(u, v) * rng.uniform(0.85, 1.0) * alpha
    pooled = [a.reshape(side, 3, side, 3, -1).mean((1, 3)) for a in (alpha, colours)]
    height, width, _ = image.shape
    rows = slice(max(top, 0), min(top + side, height))
    cols = slice(max(left, 0), min(left + side, width))
    cut = (slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left))
    image[rows, cols] = image[rows, cols] * (1 - pooled[0][cut]) + pooled[1][cut]


def light(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Light from one side, a tint, and the noise of a sensor: `[h, w, 3] u8`."""
    height, width, _ = image.shape
    rows, cols = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.22) * (np.cos(turn) * cols + np.sin(turn) * rows)
    gain = rng.uniform(0.75, 1.15) * (1 + slope[..., None]) * rng.uniform(0.95, 1.05, size=3)
    lit = image * gain + rng.normal(0, 3, size=image.shape)
    return lit.clip(0, 255).round().astype(np.uint8)
