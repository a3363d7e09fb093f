"""Names of classes in scripts that join letters, and characters that nobody sees."""

from pathlib import Path

import pytest

from wsgcn_jax.data.class_list import parse_classes, read_classes, write_classes
from wsgcn_jax.data.lists import read_list
from wsgcn_jax.settings.kinds import Text
from wsgcn_jax.types import DataError


def _read(root: Path, text: str, name="labels.csv", classes=None):
    (root / name).write_text(text)
    return read_list(root / name, root, classes=classes).labelled


JOINED = (
    "\u06a9\u062a\u0627\u0628\u200c\u062e\u0627\u0646\u0647",  # library, in Persian
    "\u0915\u094d\u200d\u0937",  # a half letter of Hindi
    "\U0001f469\u200d\U0001f680",  # an astronaut
    "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
)


@pytest.mark.fault(
    "labels with joiners between their letters or pictures (Persian, Hindi, emoji)",
    "they are names of classes",
)
@pytest.mark.parametrize("name", JOINED)
def test_joiners_are_part_of_names(tmp_path, name):
    assert _read(tmp_path, f"p0.jpg,{name}\np1.jpg,cat\n").classes == ("background", name, "cat")
    text = f'{{"p0.jpg": "{name}"}}'
    assert _read(tmp_path, text, name="labels.json").classes == ("background", name)
    assert (
        _read(tmp_path, f"p0.jpg,{name}\n", classes=parse_classes(f"{name},cat")).classes[1] == name
    )
    (tmp_path / name).mkdir()
    (tmp_path / name / "p.jpg").touch()
    assert read_list(tmp_path, tmp_path).labelled.classes == ("background", name)
    assert Text().holds(name)
    write_classes(tmp_path, ("background", name))
    assert read_classes(tmp_path) == ("background", name)


@pytest.mark.fault(
    "labels with invisible characters elsewhere (bidi, joiners at an end or alone)",
    "one line with the character's number",
)
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("\u202ecat", "202E"),
        ("cat\u200d", "200D"),
        ("\u200ccat", "200C"),
        ("a\u200c\u200db", "200C"),
        ("a\u200c b", "200C"),
        ("\u200d", "200D"),
        ("a\u200bb", "200B"),
        ("a\u2066b", "2066"),
        ("a\u200d\x07", "200D"),
    ],
)
def test_invisible_characters_are_named(tmp_path, name, number):
    with pytest.raises(DataError, match=rf"line 1: .*invisible character U\+{number}; remove it"):
        _read(tmp_path, f'p0.jpg,"{name}"\n')
    with pytest.raises(DataError, match=rf"^classes .*invisible character U\+{number}; remove it"):
        parse_classes(f"{name},cat")
    assert not Text().holds(name)


@pytest.mark.parametrize("name", ["\u3164", "\u2800\u2800", "\ufe0f"])
def test_names_of_which_nothing_is_seen(tmp_path, name):
    with pytest.raises(DataError, match="has no letter, digit or picture"):
        _read(tmp_path, f"p0.jpg,{name}\n")
