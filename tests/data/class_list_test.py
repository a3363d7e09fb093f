"""The class list beside masks, and the names of a command line."""

import json

import numpy as np
import pytest

from wsgcn_jax.data import PALETTE, VOC_CLASSES
from wsgcn_jax.data.class_list import check_classes, parse_classes, read_classes, write_classes
from wsgcn_jax.types import DataError

NAMES = ("background", "traffic light", "cat")


def test_a_list_is_read_as_it_was_written(tmp_path):
    assert read_classes(tmp_path) is None
    check_classes(tmp_path, NAMES)  # without a list any names will do
    write_classes(tmp_path, NAMES)
    assert read_classes(tmp_path) == NAMES
    palette = json.loads((tmp_path / "classes.json").read_text())["palette"]
    np.testing.assert_array_equal(palette, PALETTE[:3])
    check_classes(tmp_path, NAMES)


@pytest.mark.fault(
    "masks of another class list than the one in use",
    "one line, with the first class that differs",
)
@pytest.mark.parametrize(
    ("others", "said"),
    [
        (
            ("background", "cat"),
            "names 3 classes, but here are 2 .class 1 is 'traffic light' there",
        ),
        ((*NAMES, "dog"), "names 3 classes, but here are 4 .class 3 is 'nothing' there and 'dog'"),
        (("background", "cat", "traffic light"), "class 1 is 'traffic light' there and 'cat' here"),
    ],
)
def test_another_list_is_refused(tmp_path, others, said):
    write_classes(tmp_path, NAMES)
    with pytest.raises(DataError, match=said):
        check_classes(tmp_path, others)


@pytest.mark.fault("a `classes.json` that is damaged, or lacks background", "one line")
@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"classes": "cat"}', '{"classes": ["cat", 3]}', '{"classes": ["a"]}'),
        '{"classes": ["cat", "dog"]}',
        '{"classes": ["background", "cat", "cat"]}',
        '{"classes": ["background", "cat", ""]}',
        '{"classes": ["background", "c\\u001b[31mat"]}',
    ],
)
def test_a_damaged_list_is_named(tmp_path, text):
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match=r"classes\.json is damaged"):
        read_classes(tmp_path)


@pytest.mark.fault(
    "`--classes` with or without background",
    "background comes first, so no name moves",
)
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("traffic light,cat", NAMES),
        ("background, traffic light, cat,", NAMES),
        ("__background__,traffic light,cat", NAMES),
        ("voc", VOC_CLASSES),
    ],
)
def test_names_of_a_command_line(given, names):
    assert parse_classes(given) == names


def test_many_names_are_no_file_name():
    names = [f"thing {i}" for i in range(80)]
    assert parse_classes(",".join(names)) == ("background", *names)


def test_names_of_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("traffic light\n\ncat\n")
    assert parse_classes(str(tmp_path / "names.txt")) == NAMES
    write_classes(tmp_path, NAMES)
    assert parse_classes(str(tmp_path / "classes.json")) == NAMES


@pytest.mark.fault("`--classes={given}`", "one line")
@pytest.mark.parametrize(
    "given", ["", "cat,cat", "cat,Background", "background", "none.txt", "cat,?"]
)
def test_names_that_cannot_be(given):
    with pytest.raises(DataError, match=r"^classes "):
        parse_classes(given)
