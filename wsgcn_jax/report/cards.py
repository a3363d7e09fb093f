"""Which photos the page shows, and each with its maps, scores and classes: a card."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wsgcn_jax import data
from wsgcn_jax.metrics import confusion_matrix, iou, mean_iou
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.evaluate import WORST
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays
from wsgcn_jax.report import layers
from wsgcn_jax.report.page import script_json
from wsgcn_jax.resize import resize_labels, resize_maps
from wsgcn_jax.types import Example

Card = dict[str, Any]
"""A photo as the page's script reads it; `page.js` names the keys."""

LAYERS = (
    ("photo", "Photo", "The photo alone."),
    ("cam", "CAM", "Class activation maps: where the classifier saw each class."),
    (
        "seeds",
        "Seeds",
        "What the GCN learns from: slate is background, clear is unlabelled.",
    ),
    ("boundary", "Boundary", "The boundary network's map: the random walk stops at bright lines."),
    ("walk", "Walk", "The CAMs after the random walk, cut at one threshold."),
    ("gcn", "GCN", "The classes that the graph convolutional network gives."),
    ("final", "Final", "The result: pseudo labels after the CRF, or the segmenter's masks."),
    ("truth", "Truth", "The true masks; whitish pixels are not scored."),
    ("errors", "Errors", "Where the result differs from the truth."),
    ("doubt", "Doubt", "The entropy of the GCN's probabilities; photos without a true mask only."),
)
"""Id, title and meaning of every layer, in order of their keys."""

_ASKED = 400  # photos without truth among which the most doubtful are looked for


def fitting(cards: Iterable[Card], budget: int) -> list[Card]:
    """Takes cards, in order, until the next one would exceed a number of bytes."""
    taken: list[Card] = []
    for card in cards:
        budget -= len(script_json(card)) + 1
        if budget < 0:
            break
        taken.append(card)
    return taken


def chosen(names: Sequence[str], worst: Sequence[str], count: int) -> list[str]:
    """Chooses photos: the worst, then evenly spread ones.

    Args:
        names: of all photos.
        worst: names that come first, as far as they are among them.
        count: how many, at the most.

    Returns:
        Different names.
    """
    known = set(names)
    first = [name for name in dict.fromkeys(worst) if name in known][:count]
    rest = [name for name in names if name not in first]  # a handful
    spread = np.linspace(0, len(rest) - 1, min(count - len(first), len(rest))).round()
    return [*first, *(rest[int(index)] for index in spread)]


def all_cards(context: Context, scores: dict[str, Any], colours: np.ndarray) -> Iterator[Card]:
    """Makes the cards of both splits, taking turns, the photos that went worst first.

    Args:
        context: the run.
        scores: what `scores.json` holds.
        colours: `[c, 3] u8` of the classes.
    """
    count = context.config.report.photos
    worst = scores.get("worst", {})  # scores of older runs name none
    labelled = _Labelled(context, scores, colours)
    sources: list[Iterator[Card]] = []
    first = worst.get("train") or labelled.doubtful()
    sources.append(map(labelled.card, chosen(labelled.names, first, count)))
    if context.config.data.val_split:
        segmented = _Segmented(context, colours)
        names = chosen(segmented.names, worst.get("val", []), count)
        sources.append(map(segmented.card, names))
    for turn in itertools.zip_longest(*sources):
        yield from (card for card in turn if card is not None)


class _Shown(NamedTuple):
    """What a card shows besides the photo."""

    final: np.ndarray
    drawn: dict[str, str]
    doubt: float | None


class _Labelled:
    """Photos with pseudo labels, and what led to them."""

    def __init__(self, context: Context, scores: dict[str, Any], colours: np.ndarray) -> None:
        self._context, self._colours = context, colours
        self._split = context.scored()
        self._folder = context.folder("pseudo_labels")
        # The threshold that is scored; the published one where there is no truth to score with.
        self._threshold = scores["train"].get("random_walk", {}).get("threshold", 0.25)
        written = {path.stem for path in self._folder.glob("*.png")}
        self.names = [name for name in self._split.names if name in written]

    def doubtful(self) -> list[str]:
        """Names of the photos whose labels are least certain, the least certain first."""
        asked = chosen(self.names, (), _ASKED)
        doubt = {name: float(_entropy(self._arrays(name)).mean()) for name in asked}
        return sorted(asked, key=doubt.__getitem__, reverse=True)[:WORST]

    def card(self, name: str) -> Card:
        """Makes the card of one photo."""
        return _card("train", self._split, name, self._shown, self._colours)

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        return read_arrays(self._folder / f"{name}.npz")

    def _shown(self, example: Example) -> _Shown:
        arrays, colours = self._arrays(example.name), self._colours
        size = layers.shown_size(example.image.shape[0], example.image.shape[1])
        cam, class_ids = read_cams(self._context.folder("cams"), example.name)
        walk = resize_maps(arrays["walk"], size)
        walk = walk / max(float(walk.max(initial=0)), 1e-5)
        walk = argmax_labels(walk, class_ids, self._threshold)
        gcn = resize_maps(arrays["log_probs"], size, align_corners=True)
        drawn = {
            "cam": layers.class_scores(cam, class_ids, colours),
            "seeds": layers.class_map(
                resize_labels(arrays["seeds"], size), colours, background=True
            ),
            "boundary": layers.glow(arrays["boundary"]),
            "walk": layers.class_map(walk, colours),
            "gcn": layers.class_map(argmax_labels(gcn, arrays["class_ids"]), colours),
        }
        final = data.read_mask(self._folder / f"{example.name}.png")
        if example.mask is not None:
            return _Shown(final, drawn, None)
        entropy = _entropy(arrays)
        return _Shown(final, {**drawn, "doubt": layers.glow(entropy)}, float(entropy.mean()))


class _Segmented:
    """Validation photos with the segmenter's masks."""

    def __init__(self, context: Context, colours: np.ndarray) -> None:
        self._split = context.split(context.config.data.val_split)
        self._folder = context.folder("segmenter") / "val"
        self._colours = colours
        written = {path.stem for path in self._folder.glob("*.png")}
        self.names = [name for name in self._split.names if name in written]

    def card(self, name: str) -> Card:
        """Makes the card of one photo."""
        return _card("val", self._split, name, self._shown, self._colours)

    def _shown(self, example: Example) -> _Shown:
        return _Shown(data.read_mask(self._folder / f"{example.name}.png"), {}, None)


def _card(
    split_id: str,
    split: data.Split,
    name: str,
    show: Callable[[Example], _Shown],
    colours: np.ndarray,
) -> Card:
    example = split[split.names.index(name)]
    final, drawn, doubt = show(example)
    drawn["final"] = layers.class_map(final, colours)
    score, each = None, {}
    if example.mask is not None:
        drawn["truth"] = layers.class_map(example.mask, colours)
        drawn["errors"] = layers.error_map(final, example.mask)
        confusion = confusion_matrix(example.mask, final, len(split.classes))
        score = _percent(mean_iou(confusion))
        each = {k: _percent(v) for k, v in enumerate(iou(confusion)) if np.isfinite(v)}
    return {
        "name": name,
        "split": split_id,
        "size": [example.image.shape[1], example.image.shape[0]],
        "classes": [int(k) + 1 for k in np.flatnonzero(example.labels)],
        "score": score,
        "iou": each,
        "doubt": None if doubt is None else round(100 * doubt, 1),
        "photo": layers.photo(example.image),
        "layers": drawn,
    }


def _entropy(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Returns how undecided the GCN is, `[H, W]` in [0, 1]."""
    log_probs = np.maximum(arrays["log_probs"].astype(np.float32), -30)
    most = np.log(max(len(log_probs), 2))
    return -(np.exp(log_probs) * log_probs).sum(axis=0) / most


def _percent(share: float) -> float | None:
    return round(100 * float(share), 1) if np.isfinite(share) else None
