"""Our CRF and pydensecrf2's on the same photos: seconds a photo, and whether they agree.

Without pydensecrf2 only ours is timed. Either way it is held against exact kernels, on the first
photo shrunk to 48 pixels. With --workdir the labels that the GCN finds in a run's photos are scored
without a CRF and with either kernel that photos get.

What limits our lattice on a CPU: with few labels, finding the vertices; six times 187,500 keys are
sorted in two passes, up to a third of a photo's time. With 21 labels, gathering whole rows from a
table of vertices of up to 50 MB, beyond the caches; blurring is up to two fifths of an update.
"""

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
from PIL import Image, ImageFilter

from wsgcn_jax import data
from wsgcn_jax.crf import BOUNDARY_LABELS, GCN_PROBABILITIES, Kernel, refine
from wsgcn_jax.data.files import read_bytes
from wsgcn_jax.data.photos import decode_photo
from wsgcn_jax.data.shapes import render
from wsgcn_jax.extras import how_to_install
from wsgcn_jax.pipeline.label_batches import Labelled
from wsgcn_jax.pipeline.photo_crf import BUCKET
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.types import DataError, Example

from .relabel import make_config, percent, relabel

OF_PHOTOS: tuple[Kernel, ...] = ("lattice", "sampled")
_BATCH = 8
_EXACT_SIDE = 48  # exact kernels are matrices of pixels squared


def add_options(parser: argparse.ArgumentParser) -> None:
    """The photos, and how often to time."""
    parser.add_argument("--photo", type=Path, help="a photo; default: drawn ones, enlarged")
    parser.add_argument("--root", type=Path, help="a VOC devkit folder, to take its first photos")
    parser.add_argument(
        "--kernel",
        choices=get_args(Kernel),
        help="ours (default: sampled on TPUs, lattice elsewhere)",
    )
    parser.add_argument("--workdir", type=Path, help="of a configs/voc_animals.py run on --root")
    parser.add_argument("--photos", type=int, default=40, help="of it that are scored (default 40)")
    parser.add_argument("--repeats", type=int, default=3, help="timings; the fastest counts")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(375, 500),
        metavar=("HEIGHT", "WIDTH"),
        help="photos are resized to it (default 375 500)",
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Times 3 and 21 labels, and a batch of 8 with 3; prints and returns the figures.

    Returns:
        `seconds`, a photo, ours and theirs; `ratio_*`, our time by theirs (tables and embedding
        included, compilation not); `agreement`, share of pixels with the same best label, and
        `mean_abs_diff` of the probabilities, both the worst over the cases; `exact`, the same
        two against exact kernels. Without pydensecrf2 nothing is said of it. `kernels`, with a
        run: mIoU of its labels in percent, by kernel.
    """
    if options.workdir and not options.root:
        raise DataError("--workdir needs --root, the folder of its photos")
    try:
        densecrf = importlib.import_module("pydensecrf.densecrf")
    except ImportError:
        densecrf = None
        print(f"pydensecrf2 is missing: only ours is timed ({how_to_install('crf')})")
    photos = _photos(options)
    crf = partial(refine, settings=BOUNDARY_LABELS, kernel=options.kernel)
    figures: dict[str, Any] = {"shape": list(options.size), "seconds": {}}
    compared: list[dict[str, float]] = []
    for name, labels, batch in (("3", 3, 1), ("21", 21, 1), ("3_batch8", 3, _BATCH)):
        images = np.stack(photos[:batch])
        scores = np.stack([_scores(image, labels, seed) for seed, image in enumerate(images)])
        if batch == 1:
            images, scores = images[0], scores[0]

        def ours(images: np.ndarray = images, scores: np.ndarray = scores) -> np.ndarray:
            return np.asarray(jax.block_until_ready(crf(images, scores)))

        def theirs(images: np.ndarray = images, scores: np.ndarray = scores) -> np.ndarray:
            if images.ndim == 3:
                return _pydensecrf(densecrf, images, scores)
            pairs = zip(images, scores, strict=True)
            return np.stack([_pydensecrf(densecrf, image, score) for image, score in pairs])

        race = _race([ours, theirs] if densecrf else [ours], options.repeats)
        seconds = [spent for _, spent in race]
        figures["seconds"][name] = [round(spent / batch, 3) for spent in seconds]
        print(f"{name:>9}: ours {seconds[0] / batch:.3f} s a photo", end="" if densecrf else "\n")
        if densecrf:
            figures[f"ratio_{name}"] = round(seconds[0] / seconds[1], 3)
            compared.append(_compare(race[0][0], race[1][0]))
            print(
                f", pydensecrf2 {seconds[1] / batch:.3f} s, ratio {seconds[0] / seconds[1]:.2f}; "
                + _described(compared[-1])
            )
    if compared:
        figures["agreement"] = min(one["agreement"] for one in compared)
        figures["mean_abs_diff"] = max(one["mean_abs_diff"] for one in compared)
    figures["exact"] = _against_exact(photos[0], options.kernel)
    if options.workdir:
        figures["kernels"] = _scored(options)
    return figures


def _scored(options: argparse.Namespace) -> dict[str, float]:
    """MIoU of a run's labels by kernel, in percent."""
    config = make_config(options)
    config.crf.post_process = False
    classes = [data.VOC_CLASSES.index(label) for label in config.report.classes]

    def look(example: Example, photo: Labelled) -> dict[str, np.ndarray]:
        crf = partial(refine, example.image, photo.scores, GCN_PROBABILITIES, bucket=BUCKET)
        scores = {"none": photo.scores}
        for kernel in OF_PHOTOS:
            scores[kernel] = np.asarray(crf(kernel=kernel))
        return {name: argmax_labels(each, photo.class_ids) for name, each in scores.items()}

    found = relabel(config, options, look)
    figures = {name: percent(one, classes) for name, one in found.items()}
    print(f"mIoU by kernel: {figures}")
    return figures


def _against_exact(photo: np.ndarray, kernel: Kernel | None) -> dict[str, float]:
    image = Image.fromarray(photo)
    image.thumbnail((_EXACT_SIDE, _EXACT_SIDE), Image.Resampling.BICUBIC)
    small = np.asarray(image)
    scores = _scores(small, 3, 0)
    ours, exact = (
        np.asarray(refine(small, scores, BOUNDARY_LABELS, kernel=one)) for one in (kernel, "exact")
    )
    figures = _compare(ours, exact)
    print(f"{'exact':>9}: {_described(figures)}")
    return figures


def _compare(mine: np.ndarray, other: np.ndarray) -> dict[str, float]:
    return {
        "agreement": float((mine.argmax(axis=-3) == other.argmax(axis=-3)).mean()),
        "mean_abs_diff": float(np.abs(mine - other).mean()),
    }


def _described(figures: dict[str, float]) -> str:
    return f"agreement {figures['agreement']:.4f}, mean difference {figures['mean_abs_diff']:.5f}"


def _race(
    rivals: Sequence[Callable[[], np.ndarray]], repeats: int
) -> list[tuple[np.ndarray, float]]:
    """Results and least seconds of each, taken in turns so that a busy machine slows all."""
    results = [work() for work in rivals]  # compiles, too
    seconds: list[list[float]] = [[] for _ in rivals]
    for _ in range(max(1, repeats)):
        for work, times in zip(rivals, seconds, strict=True):
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
    size = (options.size[0], options.size[1])
    if options.photo:
        return [_read(options.photo, size)] * _BATCH
    if options.root:
        paths = sorted((options.root / "JPEGImages").glob("*.jpg"))[:_BATCH]
        if not paths:
            raise DataError(f"{options.root}: needs photos in JPEGImages")
        return [_read(paths[index % len(paths)], size) for index in range(_BATCH)]
    return [drawn_photo(index, size) for index in range(_BATCH)]


def drawn_photo(index: int, size: tuple[int, int]) -> np.ndarray:
    """One of the embedded drawings `[h, w, 3] u8`, enlarged."""
    return _resized(Image.fromarray(render(0, index)[0]), size)


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    photo = decode_photo(read_bytes(path, what="photo"), name=f"photo {path}")
    return _resized(Image.fromarray(photo), size)


def _resized(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))


def _scores(image: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """Noisy probabilities `[c, h, w]` of blobs and of brightness, as of a weak segmenter."""
    rng = np.random.default_rng(seed)
    light = np.asarray(Image.fromarray(image).convert("L").filter(ImageFilter.GaussianBlur(4)))
    small = rng.normal(size=(labels, 8, 10)).astype(np.float32)
    blobs = [np.asarray(Image.fromarray(s).resize(image.shape[1::-1])) for s in small]
    logits = 2 * np.stack(blobs)
    logits += np.linspace(-2, 2, labels)[:, None, None] * (light.astype(np.float32)[None] / 64 - 2)
    logits += rng.normal(size=logits.shape)
    powers = np.exp(logits - logits.max(axis=0))
    return (powers / powers.sum(axis=0)).astype(np.float32)
