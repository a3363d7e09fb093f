"""Photos are known by their content, whatever their time, and read once."""

import os

import pytest

from wsgcn_jax import checksums
from wsgcn_jax.checksums import content_hash


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """The files that were read; the cache is empty."""
    monkeypatch.setenv("WSGCN_JAX_CACHE", str(tmp_path / "cache"))
    read, original = [], checksums.file_hash

    def file_hash(path):
        read.append(os.path.basename(path))
        return original(path)

    monkeypatch.setattr(checksums, "file_hash", file_hash)
    return read


def _old(path, content, age=100):
    path.write_bytes(content)
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


def _forget():
    """As a process that starts."""
    checksums._hashes.cache_clear()


@pytest.mark.fault(
    "photos that were touched, or a copy of the set",
    "nothing is made anew: their content decides",
)
def test_a_copy_or_a_touched_photo_is_the_same_and_another_content_is_not(tmp_path, reads):
    photo, copy = _old(tmp_path / "a", b"one"), _old(tmp_path / "b", b"one", age=50)
    other = _old(tmp_path / "c", b"two")
    first = content_hash(photo)
    assert first == content_hash(copy) != content_hash(other)
    os.utime(photo, (1e9, 1e9))
    assert content_hash(photo) == first
    _old(photo, b"two", age=70)
    assert content_hash(photo) == content_hash(other)


def test_a_photo_is_read_once_until_size_or_time_change(tmp_path, reads):
    photo = _old(tmp_path / "a", b"one")
    for _ in range(3):
        content_hash(photo)
        _forget()
    assert reads == ["a"]
    with (tmp_path / "cache" / "hashes.jsonl").open("ab") as file:
        file.write(b'"x"\n\xff\n["a", 1\n')
    content_hash(photo)
    _old(photo, b"two", age=200)
    content_hash(photo)
    assert reads == ["a", "a"]
    photo.write_bytes(b"now")  # might change once more within its time's resolution
    content_hash(photo)
    content_hash(photo)
    assert len(reads) == 4


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe"])
def test_what_is_no_file_has_no_content(tmp_path, reads, kind):
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert content_hash(path) is None
    assert not reads


def test_without_a_cache_photos_are_read_every_time(tmp_path, reads, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WSGCN_JAX_CACHE", str(tmp_path / "file" / "cache"))
    photo = _old(tmp_path / "a", b"one")
    first = content_hash(photo)
    _forget()
    assert content_hash(photo) == first
    assert reads == ["a", "a"]
