"""Finding files: other spellings of their names, and names that would leave the folder."""

import os
import unicodedata

import pytest

from wsgcn_jax.data.files import check_relative, digest, read_bytes, write_atomic
from wsgcn_jax.data.listed import result_name
from wsgcn_jax.data.lists.finder import Finder
from wsgcn_jax.types import DataError


@pytest.mark.fault(
    "file names in another case, with backslashes, without ending, with accents in NFC for NFD",
    "the file that is meant is found, which is said; where two fit, neither is",
)
def test_spellings(tmp_path):
    accent = unicodedata.normalize("NFD", "caf\u00e9.JPG")
    for file in (accent, "sub/a b.jpg", "one.png", "two.jpg", "two.png", "Case.jpg", "case.jpg"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    find = Finder(tmp_path)
    for spelling, file in {
        "caf\u00e9.JPG": accent,
        "caf\u00e9.jpg": accent,
        "caf\u00e9": accent,
        "sub\\a b.jpg": "sub/a b.jpg",
        "./sub/a b.jpg": "sub/a b.jpg",
        f"{tmp_path}/sub/a b.jpg": "sub/a b.jpg",
        "/sub/a b.jpg": "sub/a b.jpg",
        "one": "one.png",
        "ONE.PNG": "one.png",
        "case.jpg": "case.jpg",
        # Two fit, or none: the name stays as it is, and the photo is missing.
        "two": "two",
        "CASE.jpg": "CASE.jpg",
        "none.jpg": "none.jpg",
    }.items():
        assert find(spelling, where="list") == file
        assert find.exists(spelling) == (tmp_path / file).exists()
    assert find.renamed["ONE.PNG"] == "one.png" and not {"one", "one.png"} & set(find.renamed)


OUTSIDE = ("../x.jpg", "a/../../x", "/etc/passwd", "C:\\x.jpg", "..\\x", "gs://b/c")


@pytest.mark.fault("a list with the file name `{name!r}`", "one line", section="Untrusted files")
@pytest.mark.parametrize("name", [*OUTSIDE, "a\x00b", "a\nb", ""])
def test_names_that_leave_the_folder(tmp_path, name):
    with pytest.raises(DataError, match="line 1: the name") as caught:
        Finder(tmp_path)(name, where="list, line 1")
    assert str(caught.value).isprintable()


def test_names_with_odd_spaces_are_names():
    check_relative("Bild 10.00.00\u202fAM\u00a0(2).png", where="list")


@pytest.mark.fault(
    "a pipe or a device as photo",
    "it is left out; nothing waits",
    section="Untrusted files",
)
@pytest.mark.fault(
    "a file of 1 TB as photo",
    "it is left out before it is read",
    section="Untrusted files",
)
def test_pipes_devices_and_large_files_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**40)
    (tmp_path / "folder").mkdir()
    for name, why in {
        "pipe": "a pipe or a device",
        "zero": "a pipe or a device",
        "large": "more than 1,073,741,824",
        "folder": "it is a folder",
        "none": "is missing",
        "x" * 300: "cannot be read: File name too long",
    }.items():
        with pytest.raises(DataError, match=why) as caught:
            read_bytes(tmp_path / name, what="photo")
        assert len(str(caught.value)) < 1000
        digest(tmp_path / name)


def test_content_decides_whether_a_file_is_the_same(tmp_path):
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    os.utime(tmp_path / "c", (0, 0))
    a, b, c, none = (digest(tmp_path / name) for name in "abcd")
    assert a == c != b and none is None


@pytest.mark.fault(
    "a photo in folders whose joined names exceed 255 bytes",
    "its results have a shortened name of their own",
)
def test_results_of_long_names(tmp_path):
    assert result_name("sub/a.b.jpg") == "sub__a.b"
    long = result_name("/".join(["s" * 200, "\u00e9" * 120 + ".jpg"]))
    other = result_name("/".join(["s" * 200, "\u00e9" * 121 + ".jpg"]))
    assert long != other and long[:200] == other[:200] == "s" * 200
    write_atomic(tmp_path / f"{long}.png", b"x")
    write_atomic(tmp_path / f"{'y' * 251}.png", b"x")
    assert sorted(len(path.name.encode()) <= 255 for path in tmp_path.iterdir()) == [True, True]


@pytest.mark.fault(
    "a folder, a pipe or a device where a file is to be written",
    "one line; it stays as it is",
)
def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to pipe").symlink_to("pipe")  # no device: a fault here must not cost the system's
    (tmp_path / "folder").mkdir()
    for name, what in {"pipe": "pipe", "to pipe": "pipe", "folder": "folder"}.items():
        for through_link in (False, True):
            with pytest.raises(DataError, match=f"cannot be written: it is a {what}"):
                write_atomic(tmp_path / name, b"x", through_link=through_link)
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "to pipe").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe", "to pipe"]


@pytest.mark.fault(
    "a link in a work folder where a file is to be written",
    "the link is replaced, and what it leads to stays",
    section="Untrusted files",
)
def test_links_are_followed_only_where_the_user_named_them(tmp_path):
    (tmp_path / "own").write_bytes(b"own")
    (tmp_path / "link").symlink_to("own")
    write_atomic(tmp_path / "link", b"1", through_link=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "own").read_bytes() == b"1"
    write_atomic(tmp_path / "link", b"2")
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "own").read_bytes() == b"1"
