"""Embedded photos: drawn creatures whose class shows in a small badge on their head only.

Bodies vary in colour, texture and form independently of the class, so a class activation map
finds the badge and misses the rest: there is something left for propagation to do. Every photo
is a function of (seed, index) alone.
"""

import hashlib
import io
import json

import numpy as np
from PIL import Image

from wsgcn_jax.data import drawing
from wsgcn_jax.data.labels import BACKGROUND
from wsgcn_jax.data.marks import MARKS
from wsgcn_jax.data.palette_png import encode_png
from wsgcn_jax.data.records import Photo
from wsgcn_jax.types import IGNORE

SHAPES_CLASSES = (BACKGROUND, *MARKS)

_DRAWING = 3
"""To be raised when the same (seed, index) draws another photo: stored sets are rebuilt."""

_VAL_START = 1_000_000
"""Index of the first validation photo: more training photos never change it."""

_SIDES = (96, 161)
_NUM_CLUTTER = (2, 6)
_NUM_CREATURES = (0.35, 0.45, 0.2)  # chances of 1, 2, 3
_MIN_VISIBLE = 0.55  # of a body; its badge stays whole
_TRIES = 40


def render(seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws one photo.

    Args:
        seed: names the data set.
        index: names the photo in it, >= 0.

    Returns:
        image: `[h, w, 3] u8`.
        mask: `[h, w] u8`, class ids with a 255 ring round every object.
        labels: `[c - 1] bool`, the classes present.
    """
    rng = np.random.default_rng([seed, index])
    height, width = (int(side) for side in rng.integers(*_SIDES, size=2))
    image = drawing.background(rng, height, width)
    for _ in range(rng.integers(*_NUM_CLUTTER)):
        drawing.draw_clutter(rng, image)
    mask = np.zeros((height, width), np.uint8)
    labels = np.zeros(len(MARKS), bool)
    owner = np.full((height, width), -1)
    protected = np.zeros((height, width), bool)
    areas: list[int] = []
    count = int(rng.choice([1, 2, 3], p=_NUM_CREATURES))
    for kind in rng.choice(len(MARKS), size=count, replace=False):
        figure = _place(rng, owner, protected, areas)
        if figure is None:
            continue  # no room: a photo has at least the one creature that always fits
        distance = drawing.distance_to(figure, height, width)
        drawing.draw_body(rng, image, distance)
        drawing.draw_badge(rng, image, figure, MARKS[SHAPES_CLASSES[kind + 1]])
        inside = distance < 0
        mask[inside], owner[inside] = kind + 1, len(areas)
        protected |= drawing.badge_distance(figure, height, width) < 2.0
        areas.append(int(inside.sum()))
        labels[kind] = True
    image = drawing.light(rng, image)
    return image, _ring(mask, owner), labels


class ShapesSource:
    """The embedded data set.

    Args:
        seed: names the data set.
        num_train: photos of the split "train".
        num_val: photos of the split "val".
    """

    def __init__(self, seed: int = 0, num_train: int = 240, num_val: int = 60):
        self._seed = seed
        self._counts = {"train": num_train, "val": num_val}

    def classes(self) -> tuple[str, ...]:
        """ "background" and the six badges."""
        return SHAPES_CLASSES

    def notes(self) -> tuple[str, ...]:
        """Nothing: no list is read."""
        return ()

    def fingerprint(self) -> str:
        """A hash of seed and counts."""
        content = ["shapes", _DRAWING, self._seed, self._counts]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def listing(self) -> dict[str, tuple[str, ...]]:
        """The photos' names by split."""
        return {
            split: tuple(f"{split}_{number:04d}" for number in range(count))
            for split, count in self._counts.items()
        }

    def read(self, split: str, name: str) -> Photo:
        """Draws one photo and encodes it without loss."""
        number = int(name.rpartition("_")[2])
        image, mask, labels = render(self._seed, number + _VAL_START * (split == "val"))
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG")
        ids = tuple((np.flatnonzero(labels) + 1).tolist())
        return Photo(buffer.getvalue(), ids, encode_png(mask), (name, f"mask of {name}"))


def _place(
    rng: np.random.Generator, owner: np.ndarray, protected: np.ndarray, areas: list[int]
) -> drawing.Figure | None:
    """A figure that leaves the badges, and enough of the bodies, of earlier ones in sight."""
    height, width = owner.shape
    for _ in range(_TRIES):
        figure = drawing.random_figure(rng, height, width)
        row, col, radius, _ = figure.badge
        if not (radius < row < height - radius and radius < col < width - radius):
            continue
        inside = drawing.distance_to(figure, height, width) < 0
        if (inside & protected).any():
            continue
        left = [int(((owner == i) & ~inside).sum()) for i in range(len(areas))]
        if all(seen >= _MIN_VISIBLE * area for seen, area in zip(left, areas, strict=True)):
            return figure
    return None


def _ring(mask: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Marks the pixels on either side of every object's outline as 255: a ring 2 wide."""
    edge = np.zeros(mask.shape, bool)
    across, down = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return np.where(edge, np.uint8(IGNORE), mask)
