"""Folders as labels: links are followed, and what is left out is named."""

import os
from pathlib import Path

import pytest

from wsgcn_jax.data import FolderSource
from wsgcn_jax.data.lists import read_list
from wsgcn_jax.data.lists.walk import walk
from wsgcn_jax.data.outputs import check_work_folder
from wsgcn_jax.types import DataError


@pytest.fixture
def root(tmp_path) -> Path:
    """Photos of dogs in a folder, and of cats elsewhere."""
    _touch(tmp_path / "photos/dog/d.jpg")
    _touch(tmp_path / "cats/young/c.jpg")
    return tmp_path / "photos"


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _labels(root: Path) -> dict[str, tuple[str, ...] | None]:
    return {row.file: row.labels for row in read_list(root, root).labelled.rows}


def _notes(root: Path) -> str:
    return "\n".join(read_list(root, root).labelled.notes)


BOTH = {"cat/young/c.jpg": ("cat",), "dog/d.jpg": ("dog",)}


@pytest.mark.fault("a sub-folder that is a link to a folder elsewhere", "its photos are read")
def test_linked_folders_are_read(root):
    (root / "cat").symlink_to(root.parent / "cats")
    assert _labels(root) == BOTH
    assert FolderSource(root).listing() == {"train": ("cat__young__c", "dog__d")}
    (root / "labels.csv").write_text("CAT/Young/c,cat\n")
    assert [row.file for row in read_list(root / "labels.csv", root).labelled.rows] == [
        "cat/young/c.jpg"
    ]


@pytest.mark.fault("a work folder where a linked folder of photos leads", "one line")
def test_no_work_folder_lies_in_a_linked_folder(root):
    (root / "cat").symlink_to(root.parent / "cats")
    with pytest.raises(DataError, match=r"lies in .*cats, of which everything is read"):
        check_work_folder(root.parent / "cats/run", [], {}, FolderSource(root).walked())


@pytest.mark.fault(
    "links among the sub-folders that go round, lead to one that is read, or nowhere",
    "each folder is read once; the link is named as left out",
)
@pytest.mark.parametrize(
    ("link", "to", "said"),
    [
        ("dog/again", "photos/dog", "dog/again leads to dog, which is read already"),
        ("dog/again", "photos", "dog/again leads to photos, which is read already"),
        ("puppy", "photos/dog", "puppy leads to dog, which is read already"),
        ("kitten", "cats", "kitten leads to cat, which is read already"),
        ("animal", ".", "animal leads to a folder around one that is read"),
        ("horse", "gone", "horse leads nowhere"),
        ("horse", "photos/horse", "horse leads nowhere"),
    ],
)
def test_links_that_are_left_out(root, link, to, said):
    (root / "cat").symlink_to(root.parent / "cats")
    (root / link).symlink_to(root.parent / to)
    assert _labels(root) == BOTH
    assert f"photos: left out are folders and links: 1 ({said})" in _notes(root)


def test_links_that_meet_elsewhere_end(root):
    (root / "cat").symlink_to(root.parent / "cats")
    (root.parent / "cats/dogs").symlink_to(root / "dog")
    (root.parent / "cats/back").symlink_to(root.parent / "cats")
    assert _labels(root) == BOTH and "2 (cat/back leads to cat" in _notes(root)
    assert walk(root).places == (root.resolve(), (root.parent / "cats").resolve())


@pytest.mark.fault(
    "photos beside the sub-folders, names that are not UTF-8 or hold a line end, other files, "
    "sub-folders without a photo",
    "they are named as left out",
)
def test_what_is_left_out_is_named(root):
    assert "left out" not in _notes(root)
    for name in ("a.jpg", "b.jpg", "dog/a\nb.jpg", "dog/x.heic", "horse/.hidden.jpg"):
        _touch(root / name)
    _touch(Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9/p.jpg")))
    assert _labels(root) == {"dog/d.jpg": ("dog",)}
    notes = _notes(root)
    assert "left out are photos beside the sub-folders: 2 (a.jpg, b.jpg)" in notes
    assert "control characters: 2 (caf\\udce9/p.jpg, dog/a\\nb.jpg)" in notes
    assert "have no photo's ending: 1 (dog/x.heic)" in notes
    assert "sub-folders without a photo: 1 (horse)" in notes
    for i in range(9):
        _touch(root / f"{i}.jpg")
    assert "11 (0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 6 more)" in _notes(root)


@pytest.mark.fault("a sub-folder that may not be read", "it is named as left out")
def test_folders_that_cannot_be_read_are_named(root, monkeypatch):
    _touch(root / "cat/c.jpg")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("cat"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "folders and links: 1 (cat cannot be read: Permission denied)" in _notes(root)


def test_masks_are_not_said_to_be_left_out(root):
    _touch(root / "masks/dog/d.png")
    _touch(root / "masks/classes.json")
    found = read_list(root, root, leave_out=(root / "masks",)).labelled
    assert [row.file for row in found.rows] == ["dog/d.jpg"]
    assert "left out" not in "".join(found.notes)


def test_why_no_photo_is_left_is_said(root):
    (root / "dog/d.jpg").rename(root / "d.jpg")
    with pytest.raises(DataError, match=r"no labels\.csv.* beside the sub-folders: 1 \(d\.jpg\)"):
        read_list(root, root)
