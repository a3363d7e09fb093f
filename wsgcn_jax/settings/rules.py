"""Rules between settings: each reads several keys whose own values are all allowed.

A rule is given the values by key and yields (key, what must be so). A key that is not there, since
its value is not allowed or nobody asked for its section, ends the rule by its KeyError.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

Values = Mapping[str, Any]
Rule = Callable[[Values], Iterator[tuple[str, str]]]


def _splits_evenly(values: Values, *, section: str) -> Iterator[tuple[str, str]]:
    parts = values[f"{section}.accumulate"]
    if values[f"{section}.batch_size"] % parts:
        yield f"{section}.batch_size", f"a multiple of {section}.accumulate={parts}"


def _steps(values: Values, *, section: str) -> Iterator[tuple[str, str]]:
    most = values[f"{section}.max_steps"]
    if most is not None and values[f"{section}.min_steps"] > most:
        yield f"{section}.min_steps", f"at most {section}.max_steps={most}"


def _levels(values: Values) -> Iterator[tuple[str, str]]:
    high = values["boundary.foreground"]
    if values["boundary.background"] > high:
        yield "boundary.background", f"at most boundary.foreground={high}"


def _pairs_fit(values: Values) -> Iterator[tuple[str, str]]:
    radius = values["boundary.radius"]
    # A pair's first node stays radius - 1 nodes of 4 pixels away from both sides of the crop.
    least = 8 * (radius - 1) + 4
    if values["boundary.crop"] < least:
        yield "boundary.crop", f"at least {least}, for boundary.radius={radius}"


def _folder_is_named(values: Values) -> Iterator[tuple[str, str]]:
    source = values["data.source"]
    if source != "shapes" and values["data.root"] is None:
        yield "data.root", f"a folder, for data.source={source}"


def _shapes_are_drawn(values: Values) -> Iterator[tuple[str, str]]:
    if values["data.source"] != "shapes":
        return
    for key in ("data.root", "data.labels", "data.masks"):
        if values[key] is not None:
            yield key, "None, for data.source=shapes draws its photos; choose folder, voc or coco"
    for key in ("data.train_split", "data.pseudo_split", "data.val_split", "data.score_split"):
        if values[key] not in ("train", "val", None):
            yield key, "one of train, val, for data.source=shapes has no other"


def _segmenter_start(values: Values) -> Iterator[tuple[str, str]]:
    shared, own = values["backbone.name"], values["segmenter.backbone"]
    if values["segmenter.init"] == "classifier" and own not in (shared, None):
        yield "segmenter.backbone", f"{shared} or None, for segmenter.init=classifier"


def _presence_is_learnt(values: Values) -> Iterator[tuple[str, str]]:
    learnt = any(values[f"classifier.{key}"] for key in ("linear", "epochs", "init"))
    if values["segmenter.presence"] and not learnt:
        yield "segmenter.presence", "False, or else the classifier learns: classifier.linear=True"


def _whole_deeplab(values: Values) -> Iterator[tuple[str, str]]:
    whole = values["segmenter.init"] not in ("classifier", None)
    if whole and values["segmenter.decoder"] != "none":
        yield "segmenter.decoder", "none, for segmenter.init is a folder with a whole DeepLab v2"


def _truth_is_sure(values: Values) -> Iterator[tuple[str, str]]:
    if values["segmenter.supervision"] == "truth":
        for key, only in (("targets", "labels"), ("ignore_disputed", False)):
            if values[f"segmenter.{key}"] != only:
                yield f"segmenter.{key}", f"{only}, for segmenter.supervision=truth"


def _of_resnets(values: Values) -> Iterator[tuple[str, str]]:
    backbone = values["segmenter.backbone"] or values["backbone.name"]
    for key in ("segmenter.batch_statistics", "segmenter.undilated_first"):
        if values[key] and not backbone.startswith("resnet"):
            yield key, f"False, for the segmenter's backbone is {backbone} and no ResNet"


def _scales_leave_a_cell(values: Values) -> Iterator[tuple[str, str]]:
    crop = values["segmenter.crop"]
    if crop * min(values["segmenter.multi_scale"], default=1) < 16:
        yield "segmenter.multi_scale", f"scales that leave 16 pixels of segmenter.crop={crop}"


def _exponents(values: Values) -> Iterator[tuple[str, str]]:
    high = values["seeds.high_alpha"]
    if values["seeds.low_alpha"] > high:
        yield "seeds.low_alpha", f"at most seeds.high_alpha={high}"


_NETWORKS = ("classifier", "boundary", "segmenter")

RULES: tuple[Rule, ...] = (
    *(partial(_splits_evenly, section=name) for name in _NETWORKS),
    *(partial(_steps, section=name) for name in _NETWORKS),
    _levels,
    _pairs_fit,
    _folder_is_named,
    _shapes_are_drawn,
    _presence_is_learnt,
    _segmenter_start,
    _whole_deeplab,
    _truth_is_sure,
    _of_resnets,
    _scales_leave_a_cell,
    _exponents,
)
