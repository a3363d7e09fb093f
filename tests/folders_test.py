"""Folders in a bucket: what is written there, and what stays on a disk. The bucket is in memory."""

import errno
import os

import fsspec
import numpy as np
import pytest
from etils import epath
from fsspec.implementations.memory import MemoryFileSystem

from wsgcn_jax.data import read_mask, write_mask
from wsgcn_jax.folders import absolute, check_bucket, disk_errors, disk_for, in_bucket
from wsgcn_jax.pipeline.curves import Curves, read_curve
from wsgcn_jax.pipeline.workfolder.stamps import Recipe
from wsgcn_jax.pipeline.workfolder.workspace import Workspace, read_arrays, write_arrays
from wsgcn_jax.types import DataError


class _Bucket(MemoryFileSystem):
    """Google's storage, in this process's memory."""

    protocol = ("gcs", "gs")

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("gs://"))


@pytest.fixture
def root(monkeypatch, tmp_path):
    fsspec.register_implementation("gcs", _Bucket, clobber=True)
    monkeypatch.setattr(_Bucket, "store", {})
    monkeypatch.setattr(_Bucket, "pseudo_dirs", [""])
    monkeypatch.setenv("WSGCN_JAX_CACHE", str(tmp_path / "cache"))
    return "gs://bucket/run"


@pytest.mark.fault("a bucket without its library, for any command", "one line: how to install it")
def test_a_bucket_without_its_library_is_one_line(monkeypatch):
    with pytest.raises(
        DataError, match="nowhere://bucket/run: the library for nowhere:// is missing"
    ):
        check_bucket("nowhere://bucket/run")

    def missing(protocol):
        raise ImportError(f"Please install {protocol}fs")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(DataError, match="-m pip install gcsfs"):
        check_bucket("gs://bucket/run")


def test_paths_know_where_they_are(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert in_bucket("gs://b/x") and not in_bucket(tmp_path)
    assert os.fspath(absolute("gs://b/x")) == "gs://b/x"
    assert os.fspath(absolute("x")) == str(tmp_path / "x")
    assert disk_for(absolute("x")) == absolute("x")


@pytest.mark.fault(
    "a disk that is full, whichever library reports it",
    "one line; the same command goes on",
)
@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (RuntimeError("Failed to finalize: write() failed: No space left on device"), True),
        (RuntimeError("something else"), False),
        (DataError("No space left, says a photo"), False),
    ],
)
def test_a_full_disk_is_one_line_whoever_reports_it(tmp_path, error, is_full):
    with pytest.raises(DataError if is_full else type(error)) as caught, disk_errors(tmp_path):
        raise error
    assert ("the disk is full; make room" in str(caught.value)) == is_full


def test_each_folder_of_a_bucket_has_its_own_disk(root, tmp_path):
    one, other = disk_for(epath.Path(root) / "data"), disk_for(epath.Path(root) / "classifier")
    assert one != other
    assert not in_bucket(one) and one.parent == epath.Path(tmp_path / "cache")


def test_stages_are_stamped_skipped_and_made_anew_in_a_bucket(root):
    workspace = Workspace(root)
    made, other = Recipe("a", {}), Recipe("b", {})
    workspace.run("cams", made, lambda folder: write_arrays(folder / "x.npz", {}) or ())
    assert Workspace(root).is_current("cams", "a")
    assert read_arrays(workspace.folder("cams") / "x.npz") == {}
    workspace.run("cams", other, lambda folder: (), overwrite=True)
    assert not (workspace.folder("cams") / "x.npz").exists()


def test_a_mask_goes_to_a_bucket_and_comes_back(root):
    mask = np.array([[0, 1], [255, 20]], np.uint8)
    write_mask(f"{root}/pseudo_labels/x.png", mask)
    np.testing.assert_array_equal(read_mask(f"{root}/pseudo_labels/x.png"), mask)
    assert [p.name for p in epath.Path(root, "pseudo_labels").iterdir()] == ["x.png"]


def test_curves_go_on_in_a_bucket_from_another_machine(root, monkeypatch, tmp_path):
    folder = epath.Path(root) / "classifier"
    for machine, steps in (("one", (1, 2)), ("two", (2, 3))):
        monkeypatch.setenv("WSGCN_JAX_CACHE", str(tmp_path / machine))
        curves = Curves(folder, "classifier", 3)
        curves.begin(steps[0] - 1)
        for step in steps:
            curves(step, {"loss": 10.0 * step})
        curves.close()
    assert read_curve(folder) == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert list((folder / "tensorboard").iterdir())
