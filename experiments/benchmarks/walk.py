"""The fast walk and fit against the published dense algorithm: time, memory, agreement.

Both get the same photos, boundary maps, seeds (of the exact walk), starts and dropout, and what
the published algorithm lacks is left out of both (`published.FIXED`). With
--workdir boundary maps, features and CAMs are those of that run's networks
(configs/voc_animals.py); without, they are made from colour gradients and a centre-surround rule.
A dense reference takes minutes for a full-size photo; --references keeps them. Of the worst
photo we say how far the dense algorithm agrees with itself when what the nodes collect changes by
a thousandth at random.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from wsgcn_jax import data
from wsgcn_jax.metrics import confusion_matrix, mean_iou
from wsgcn_jax.pipeline.label_photo import PhotoOutputs
from wsgcn_jax.pipeline.label_program import make_label_program
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.workfolder.stamps import fingerprint_of
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays, write_arrays
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.types import DataError

from .published import Published, comparable_config, run_published
from .walk_inputs import Case, make_cases, resized
from .walk_memory import peak_megabytes
from .walk_profile import profile, seconds

AREAS = (0.25, 0.5, 1.0, 2.0)
BATCHES = (1, 4, 16)
PARTS = ("agreement", "times", "memory", "profile")
NOISE = 1e-3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--root", type=Path, required=True, help="folder that holds JPEGImages")
    parser.add_argument("--workdir", type=Path, help="of a run with a trained boundary network")
    parser.add_argument("--references", type=Path, help="folder that keeps the dense results")
    parser.add_argument("--photos", type=int, default=8, help="how many (default 8)")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(375, 500),
        metavar=("HEIGHT", "WIDTH"),
        help="photos of another size are passed over (default 375 500)",
    )
    parser.add_argument("--full", type=int, default=3, help="of which that size (default 3)")
    parser.add_argument("--longer-side", type=int, default=250, help="of the others (default 250)")
    parser.add_argument("--epochs", type=int, default=250, help="of the fit (default 250)")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=BATCHES, help="photos at a time, to be timed"
    )
    parser.add_argument(
        "--areas", type=float, nargs="+", default=AREAS, help="shares of the size, to be timed"
    )
    parser.add_argument(
        "--parts", nargs="+", default=PARTS, choices=PARTS, help="what to measure (default all)"
    )


def run(options: argparse.Namespace) -> dict:
    """Measures; returns the figures."""
    if options.photos < 1:
        raise DataError("--photos must be at least 1")
    if not 0 <= options.full <= options.photos:
        raise DataError("--full must be at least 0 and at most --photos")
    config = comparable_config()
    config.gcn.epochs = options.epochs
    cases = make_cases(
        options.root,
        options.workdir,
        config,
        size=tuple(options.size),
        photos=options.photos,
        full=options.full,
        longer=options.longer_side,
    )
    label = make_label_program(config)
    figures: dict[str, Any] = {}

    def add(found: dict[str, Any]) -> None:
        """Keeps what a part found, and says it before the next part takes its minutes."""
        figures.update(found)
        for name, value in found.items():
            print(f"{name}: {value}", flush=True)

    fresh: Published | None = None
    if "agreement" in options.parts:
        agreement, fresh = _agreements(cases, label, config, options.references)
        add(agreement)
    if "times" in options.parts:
        add(_times(cases[0], label, config, fresh, options))
    if "memory" in options.parts:
        add(_memory(cases[0], options.batches))
    if "profile" in options.parts:
        add({"profile": profile(cases[0].inputs, config)})
    return figures


def _agreements(
    cases: Sequence[Case], label: Any, config: ConfigDict, references: Path | None
) -> tuple[dict[str, Any], Published | None]:
    """Labels of either, photo by photo; besides, a dense result of the first size made here."""
    each, dense = [], []
    fresh: Published | None = None
    for case in cases:
        outputs = jax.tree.map(lambda x: np.asarray(x)[0], label(_batch(case, 1)))
        reference, new = _reference(case, config, references)
        if new and fresh is None and case.size == cases[0].size:
            fresh = reference
        each.append(_compare(case, outputs, reference))
        dense.append(reference)
        log(f"{case.name}: agreement {each[-1]['agreement']:.3f} %")
    figures = _agreement(each)
    worst = int(np.argmin([one["agreement"] for one in each]))
    disturbed, _ = _reference(cases[worst], config, references, noise=NOISE)
    itself = [_labels(cases[worst], one.log_probs) for one in (dense[worst], disturbed)]
    figures["worst_photo_dense_with_itself"] = 100 * float((itself[0] == itself[1]).mean())
    figures["photos"] = [{k: v for k, v in one.items() if k != "confusions"} for one in each]
    return figures, fresh


def _batch(case: Case, count: int) -> Any:
    return jax.tree.map(lambda x: jnp.stack([x] * count), case.inputs)


def _reference(
    case: Case, config: ConfigDict, folder: Path | None, *, noise: float = 0.0
) -> tuple[Published, bool]:
    """The dense result, from the folder where it is kept, and whether it was made just now."""
    inputs = case.inputs._replace(key=jax.random.key_data(case.inputs.key))
    parts = [np.asarray(x).tobytes().hex() for x in inputs]
    graph = [config.graph[name] for name in ("radius", "beta", "steps", "laplacian_radius")]
    key = fingerprint_of(parts, graph, config.gcn.to_dict(), *([noise] if noise else []))
    path = folder and folder / f"{key}.npz"
    if path and path.exists():
        log_probs, *numbers = (read_arrays(path)[name] for name in Published._fields)
        squaring, rest, epoch, squarings, epochs = (value.item() for value in numbers)
        return Published(log_probs, squaring, rest, epoch, squarings, epochs), False
    log(f"{case.name}: dense reference, takes minutes")
    found = run_published(case.inputs, case.seeds, config, noise=noise)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, {name: np.asarray(v) for name, v in found._asdict().items()})
    return found, True


def _labels(case: Case, log_probs: np.ndarray) -> np.ndarray:
    """Final labels of the full photo: log-probabilities aligned, argmax of the photo's classes."""
    class_ids = np.concatenate([[0], np.flatnonzero(case.inputs.present) + 1]).astype(np.uint8)
    return argmax_labels(
        resize_maps(log_probs[class_ids], case.size, align_corners=True), class_ids
    )


def _compare(case: Case, ours: PhotoOutputs, theirs: Published) -> dict[str, Any]:
    labels = [_labels(case, np.asarray(scores)) for scores in (ours.log_probs, theirs.log_probs)]
    return {
        "name": case.name,
        "size": case.size,
        "agreement": 100 * float((labels[0] == labels[1]).mean()),
        "dense_seconds": theirs.seconds(theirs.squarings, theirs.epochs),
        "confusions": [confusion_matrix(case.mask, one, len(data.VOC_CLASSES)) for one in labels],
    }


def _agreement(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ours, theirs = (100 * mean_iou(sum(one["confusions"][i] for one in each)) for i in (0, 1))
    agreements = [one["agreement"] for one in each]
    return {
        "agreement_median": float(np.median(agreements)),
        "agreement_min": min(agreements),
        "miou": ours,
        "miou_dense": theirs,
        "miou_gap": abs(ours - theirs),
    }


def _side_by_side(label: Any, photos: Any) -> list[Any]:
    """Two halves of a batch at once, as `pipeline.label_batches` works on two batches."""
    count = len(photos.boundary)
    parts = [slice(0, count // 2), slice(count // 2, count)] if count > 1 else [slice(0, 1)]
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(
            pool.map(
                lambda part: jax.block_until_ready(label(jax.tree.map(lambda x: x[part], photos))),
                parts,
            )
        )


def _times(
    case: Case,
    label: Any,
    config: ConfigDict,
    fresh: Published | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Ours by batch and by area; the dense algorithm's in this run."""
    by_batch = {
        count: seconds(_side_by_side, label, _batch(case, count)) / count
        for count in options.batches
    }
    by_area = {
        area: seconds(label, _batch(case._replace(inputs=resized(case, area)), 1))
        for area in options.areas
    }
    squarings = config.graph.steps.bit_length() - 1
    dense = fresh or run_published(case.inputs, case.seeds, config, squarings=2, epochs=5)
    whole = dense.seconds(squarings, config.gcn.epochs)
    best = min(by_batch.values())
    return {
        "ratio": whole / best,
        "seconds_per_photo": best,
        "seconds_per_photo_by_batch": by_batch,
        "seconds_by_area": by_area,
        "dense_seconds_per_photo": whole,
        "dense_seconds_are": "measured" if fresh else "extrapolated from 2 squarings, 5 epochs",
        "dense_parts": {
            "squaring": dense.squaring,
            "rest of the set-up": dense.rest,
            "epoch": dense.epoch,
        },
    }


def _memory(case: Case, batches: Sequence[int]) -> dict[str, Any]:
    height, width = case.inputs.boundary.shape
    by_batch = {count: peak_megabytes("fast", (height, width), count) / count for count in batches}
    return {
        "peak_mb_per_photo_by_batch": by_batch,
        "dense_peak_mb": peak_megabytes("dense", (height, width), 1),
    }
