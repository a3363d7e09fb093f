"""The work folder: skipping, resuming, remaking, refusing."""

import numpy as np
import pytest

from wsgcn_jax.pipeline.curves import Curves, read_curve
from wsgcn_jax.pipeline.workspace import Workspace, fingerprint_of, read_arrays, write_arrays
from wsgcn_jax.types import DataError, Skipped


def test_a_finished_stage_is_current_for_its_fingerprint_only(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.run("cams", "a", lambda folder: [Skipped("x", "broken")])
    assert workspace.is_current("cams", "a")
    assert not workspace.is_current("cams", "b")
    assert workspace.stamp("cams").skipped == (Skipped("x", "broken"),)


def test_an_unfinished_stage_keeps_its_files_and_another_configuration_drops_them(tmp_path):
    workspace = Workspace(tmp_path)

    def killed(folder):
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.run("cams", "a", killed)
    assert not workspace.is_current("cams", "a")
    seen = []
    workspace.run("cams", "a", lambda folder: seen.append((folder / "half").exists()) or ())
    workspace.run("cams", "b", lambda folder: seen.append((folder / "half").exists()) or ())
    assert seen == [True, False]


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "cams").mkdir()
    (tmp_path / "cams" / "holiday.jpg").write_text("")
    with pytest.raises(DataError, match="not a stage's folder"):
        Workspace(tmp_path).run("cams", "a", lambda folder: ())
    assert (tmp_path / "cams" / "holiday.jpg").exists()


def test_unwritable_work_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="--workdir"):
        Workspace(tmp_path / "file" / "work")


def test_fingerprint_depends_on_content_only():
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})


def test_arrays_round_trip_and_damage_is_named(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, {"a": np.arange(3)})
    assert read_arrays(path)["a"].tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"x\.npz"):
        read_arrays(path)
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"x\.npz"):
        read_arrays(path)


def test_curve_counts_repeated_steps_once_and_forgives_a_half_line(tmp_path):
    for start in (1, 2):
        curves = Curves(tmp_path, "x", 3)
        for step in range(start, 4):
            curves(step, {"loss": float(step + 10 * start)})
        curves.close()
    with (tmp_path / "curves.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert read_curve(tmp_path) == [(1, 11.0), (2, 22.0), (3, 23.0)]
