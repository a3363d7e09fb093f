"""A trained segmenter on disk: its description beside its weights, and what rebuilds it."""

import json
from typing import NamedTuple

from etils.epath import Path

from wsgcn_jax.data.files import read_text, write_atomic
from wsgcn_jax.models.backbone import BACKBONES, make_backbone
from wsgcn_jax.models.decoder import DECODERS
from wsgcn_jax.models.deeplab import DeepLabV2
from wsgcn_jax.models.network import Network, variable_shapes
from wsgcn_jax.pipeline import networks
from wsgcn_jax.pipeline.presence import Presence
from wsgcn_jax.pipeline.presence import load as presence_of
from wsgcn_jax.types import DataError

_FILE = "network.json"


class Description(NamedTuple):
    """What rebuilds a trained segmenter; lies beside its weights as `network.json`.

    Attributes:
        classes: names, background first.
        backbone: its name.
        output_stride: of the backbone.
        rates: of the ASPP.
        undilated_first: see `models.resnet.ResNet`.
        scales: of the photo, at which it is seen.
        fuse: "mean" of the scales' probabilities, or "max" of their logits (as published).
        longer_side: larger photos are seen at this size, which bounds the memory.
        batch_size: photos at a time.
        bucket: padded sides are multiples of this.
        decoder: one of `models.decoder.DECODERS`; descriptions of older versions name none.
        presence: the backbone of the classifier that says which classes a photo shows
            (`pipeline/presence.py`); None: nothing says it.
    """

    classes: tuple[str, ...]
    backbone: str
    output_stride: int
    rates: tuple[int, ...]
    undilated_first: bool
    scales: tuple[float, ...]
    fuse: str
    longer_side: int
    batch_size: int
    bucket: int
    decoder: str = "none"
    presence: str | None = None


class Segmenter(NamedTuple):
    """A trained network, its description, and what tells the classes of a photo, if it has that."""

    network: Network
    description: Description
    presence: Presence | None = None


def describe(folder: Path, description: Description) -> None:
    """Writes `network.json` beside the weights."""
    write_atomic(folder / _FILE, json.dumps(description._asdict(), indent=1).encode())


def load_segmenter(folder: Path) -> Segmenter:
    """Rebuilds a segmenter from its stage's folder or from the work folder around it.

    Args:
        folder: holds `network.json`, `weights` and `statistics`, or a `segmenter` that does.

    Raises:
        DataError: they are not there, or damaged.
    """
    if not (folder / _FILE).exists() and (folder / "segmenter" / _FILE).exists():
        folder = folder / "segmenter"
    if not (folder / _FILE).exists():
        raise DataError(
            f"{folder} holds no trained segmenter ({_FILE}); give the work folder of a run, and "
            "finish that run first"
        )
    description = _read_description(folder / _FILE)
    module = network_module(description)
    shapes = variable_shapes(module)
    blank = Network(module, shapes.pop("params"), shapes)
    presence = None
    if description.presence is not None:
        presence = presence_of(folder, description.presence, len(description.classes) - 1)
    return Segmenter(networks.load(folder, blank), description, presence)


def network_module(description: Description) -> DeepLabV2:
    """Returns the network that a description stands for, without its weights."""
    return DeepLabV2(
        # Never `ceil_pool`: photos are seen at multiples of 16, whose further cells lie outside.
        backbone=make_backbone(
            description.backbone,
            output_stride=description.output_stride,
            undilated_first=description.undilated_first,
        ),
        num_classes=len(description.classes),
        rates=description.rates,
        decoder=description.decoder,
    )


def _read_description(path: Path) -> Description:
    """Reads and checks the description: it is a file like any other."""
    text = read_text(path, what="the trained segmenter's description")
    try:
        raw = json.loads(text)
        for key in ("classes", "rates", "scales"):
            raw[key] = tuple(raw[key])
        found = Description(**raw)
        numbers = (*found.rates, *found.scales, found.longer_side, found.batch_size, found.bucket)
        if (
            found.backbone not in BACKBONES
            or found.output_stride not in (8, 16)
            or found.fuse not in ("mean", "max")
            or found.decoder not in DECODERS
            or found.presence not in (None, *BACKBONES)
            or not all(isinstance(name, str) for name in found.classes)
            or not 2 <= len(found.classes) <= 255
            or not found.scales
            or not all(0 < number <= 10**5 for number in numbers)
        ):
            raise ValueError("a value is out of its range")
        return found
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}); train the segmenter again") from error
