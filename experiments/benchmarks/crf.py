"""Our CRF and pydensecrf2's on the same photos: seconds a photo, and whether they agree.

What limits ours on a CPU: with few labels, finding the vertices; six times 187,500 keys are sorted
in two passes, up to a third of a photo's time. With 21 labels, gathering whole rows from a table of
vertices of up to 50 MB, beyond the caches; blurring is up to two fifths of an update.
"""

import argparse
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageFilter

from wsgcn_jax.crf import BOUNDARY_LABELS, refine
from wsgcn_jax.data.shapes import render
from wsgcn_jax.types import DataError

_SHAPE = (375, 500)
_BATCH = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """The photos, and how often to time."""
    parser.add_argument("--photo", type=Path, help="a photo; default: drawn ones, enlarged")
    parser.add_argument("--root", type=Path, help="a VOC devkit folder, to take its first photos")
    parser.add_argument("--repeats", type=int, default=3, help="timings; the fastest counts")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Times 3 and 21 labels, and a batch of 8 with 3; prints and returns the figures.

    Returns:
        `ratio_*`, our time by theirs (tables and embedding included, compilation not);
        `agreement`, share of pixels with the same best label, and `mean_abs_diff` of the
        probabilities, both the worst over the cases; `seconds`, a photo.
    """
    try:
        densecrf = importlib.import_module("pydensecrf.densecrf")
    except ImportError as error:
        raise DataError("pydensecrf2 is missing; pip install -e .[crf]") from error
    photos = _photos(options)
    figures: dict[str, Any] = {"shape": list(_SHAPE), "seconds": {}}
    agreement, difference = [], []
    for name, labels, batch in (("3", 3, 1), ("21", 21, 1), ("3_batch8", 3, _BATCH)):
        images = np.stack(photos[:batch])
        scores = np.stack([_scores(image, labels, seed) for seed, image in enumerate(images)])
        if batch == 1:
            images, scores = images[0], scores[0]

        def ours(images: np.ndarray = images, scores: np.ndarray = scores) -> np.ndarray:
            return np.asarray(jax.block_until_ready(refine(images, scores, BOUNDARY_LABELS)))

        def theirs(images: np.ndarray = images, scores: np.ndarray = scores) -> np.ndarray:
            if images.ndim == 3:
                return _pydensecrf(densecrf, images, scores)
            pairs = zip(images, scores, strict=True)
            return np.stack([_pydensecrf(densecrf, image, score) for image, score in pairs])

        (mine, seconds), (other, their_seconds) = _race(ours, theirs, options.repeats)
        figures[f"ratio_{name}"] = round(seconds / their_seconds, 3)
        figures["seconds"][name] = [round(seconds / batch, 3), round(their_seconds / batch, 3)]
        agreement.append(float((mine.argmax(axis=-3) == other.argmax(axis=-3)).mean()))
        difference.append(float(np.abs(mine - other).mean()))
        print(
            f"{name:>9}: ours {seconds / batch:.3f} s, pydensecrf2 {their_seconds / batch:.3f} s a "
            f"photo, ratio {seconds / their_seconds:.2f}; agreement {agreement[-1]:.4f}, "
            f"mean difference {difference[-1]:.5f}"
        )
    return {**figures, "agreement": min(agreement), "mean_abs_diff": max(difference)}


def _race(
    ours: Callable[[], np.ndarray], theirs: Callable[[], np.ndarray], repeats: int
) -> list[tuple[np.ndarray, float]]:
    """Results and least seconds of either, taken in turns so that a busy machine slows both."""
    results = [ours(), theirs()]  # compiles, too
    seconds: list[list[float]] = [[], []]
    for _ in range(max(1, repeats)):
        for work, times in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return [(result, min(times)) for result, times in zip(results, seconds, strict=True)]


def _pydensecrf(densecrf: Any, image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    labels, height, width = scores.shape
    best = scores.argmax(axis=0)
    hit = np.arange(labels)[:, None, None] == best[None]
    unary = -np.log(np.where(hit, 0.7, 0.3 / (labels - 1))).astype(np.float32)
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(labels, -1)))
    (sigma, weight), (sigma_xy, sigma_rgb, strength) = BOUNDARY_LABELS[1:]
    crf.addPairwiseGaussian(sxy=sigma, compat=weight)
    crf.addPairwiseBilateral(
        sxy=sigma_xy, srgb=sigma_rgb, rgbim=np.ascontiguousarray(image), compat=strength
    )
    return np.asarray(crf.inference(10)).reshape(labels, height, width)


def _photos(options: argparse.Namespace) -> list[np.ndarray]:
    """Eight photos of one size."""
    if options.photo:
        return [_read(options.photo)] * _BATCH
    if options.root:
        paths = sorted((options.root / "JPEGImages").glob("*.jpg"))[:_BATCH]
        if len(paths) < _BATCH:
            raise DataError(f"{options.root}: needs {_BATCH} photos in JPEGImages")
        return [_read(path) for path in paths]
    drawn = [Image.fromarray(render(0, index)[0]) for index in range(_BATCH)]
    return [_resized(image) for image in drawn]


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return _resized(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a photo that can be read") from error


def _resized(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize(_SHAPE[::-1], Image.Resampling.BICUBIC))


def _scores(image: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """Noisy probabilities `[c, h, w]` of blobs and of brightness, as of a weak segmenter."""
    rng = np.random.default_rng(seed)
    light = np.asarray(Image.fromarray(image).convert("L").filter(ImageFilter.GaussianBlur(4)))
    small = rng.normal(size=(labels, 8, 10)).astype(np.float32)
    blobs = [np.asarray(Image.fromarray(s).resize(_SHAPE[::-1])) for s in small]
    logits = 2 * np.stack(blobs)
    logits += np.linspace(-2, 2, labels)[:, None, None] * (light.astype(np.float32)[None] / 64 - 2)
    logits += rng.normal(size=logits.shape)
    powers = np.exp(logits - logits.max(axis=0))
    return (powers / powers.sum(axis=0)).astype(np.float32)
