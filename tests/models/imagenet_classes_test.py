"""ImageNet's classes by name: the table is the known one, and what is unknown is said."""

import re

import pytest

from wsgcn_jax.data.labels import VOC_CLASSES
from wsgcn_jax.models.imagenet_classes import (
    describe_group,
    imagenet_groups,
    imagenet_names,
    is_known_poorly,
)
from wsgcn_jax.types import DataError

_COCO = """
person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,stop sign,parking meter,
bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,backpack,umbrella,handbag,tie,skis,
sports ball,tennis racket,bottle,wine glass,cup,knife,spoon,bowl,banana,apple,sandwich,orange,
broccoli,hot dog,pizza,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,
keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,teddy bear,hair drier
"""
_WITHOUT = """
fire hydrant,giraffe,suitcase,frisbee,snowboard,kite,baseball bat,baseball glove,skateboard,
surfboard,fork,carrot,donut,cake,scissors,toothbrush
"""
COCO, WITHOUT = (re.sub(r",?\n", ",", text).strip(",").split(",") for text in (_COCO, _WITHOUT))


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("cat", _span(281, 285)),
        ("dogs", _span(151, 268)),
        ("cow", (345, 346, 347)),
        ("horse", (339,)),
        ("zebra", (340,)),
        ("person", (981, 982, 983)),
        ("sheep", (348, 349)),
        ("bear", _span(294, 297)),
        ("snake", _span(52, 68)),
        ("fish", (*_span(0, 6), *_span(389, 397))),
        ("bird", (*_span(7, 24), *_span(80, 100), *_span(127, 146))),
        ("insect", _span(300, 326)),
        ("animal", _span(0, 397)),
        ("fruit", _span(948, 957)),
        ("Golden_Retriever", (207,)),
        ("st-bernard", (247,)),
        ("hot dog", (934,)),
        ("crane", (134, 517)),
        ("kite bird", (21,)),
        ("toilet tissue", (999,)),
    ],
)
def test_words_stand_for_their_classes(name: str, classes: tuple[int, ...]) -> None:
    assert imagenet_groups([name]) == (classes,)


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "tench"),
        (207, "golden retriever"),
        (404, "airliner"),
        (817, "sports car"),
        (963, "pizza"),
    ],
)
def test_names_stand_on_their_lines(index: int, name: str) -> None:
    assert imagenet_names()[index][0] == name
    assert len(imagenet_names()) == 1000


def test_voc_and_coco_have_counterparts() -> None:
    groups = imagenet_groups((*VOC_CLASSES[1:], *COCO))
    assert len(groups) == 20 + 64
    for group in groups:
        assert group == tuple(sorted(set(group))) and group[0] >= 0 and group[-1] < 1000
    assert len(WITHOUT) == 80 - len(COCO)


@pytest.mark.fault(
    "a class name that ImageNet does not know, with its head",
    "one line, with the nearest names",
    section="Settings",
)
@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_counterpart_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match=f"no counterpart of '{name}' .nearest: "):
        imagenet_groups(["dog", name])


@pytest.mark.parametrize(
    ("name", "poorly"), [("person", True), ("Persons", True), ("dog", False), ("suit", False)]
)
def test_of_people_imagenet_knows_few_kinds(name: str, poorly: bool) -> None:
    assert is_known_poorly(name) is poorly


def test_only_what_is_needed_must_have_a_counterpart() -> None:
    names = ["dog", "giraffe", "zebra"]
    assert imagenet_groups(names, needed=["dog"]) == (_span(151, 268), (), (340,))
    with pytest.raises(DataError, match="no counterpart of 'giraffe'"):
        imagenet_groups(names, needed=["giraffe"])


def test_the_nearest_names_are_listed_as_they_are_written() -> None:
    with pytest.raises(DataError, match=r"'doggy' .nearest: dog, .*; 'kite' .nearest: kite bird, "):
        imagenet_groups(["doggy", "cat", "kite"])


def test_groups_are_described_by_their_first_classes() -> None:
    assert describe_group(()) == "nothing"
    assert describe_group((339,)) == "sorrel"
    assert describe_group(_span(151, 268)) == (
        "Chihuahua, Japanese spaniel, Maltese dog, Pekinese and 114 more"
    )
