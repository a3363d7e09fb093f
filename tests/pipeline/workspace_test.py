"""The work folder: skipping, resuming, mending, refusing."""

import json
import os

import numpy as np
import pytest

from wsgcn_jax.pipeline.curves import Curves, read_curve
from wsgcn_jax.pipeline.workfolder.plan import differences, make_plan
from wsgcn_jax.pipeline.workfolder.stamps import Recipe, fingerprint_of
from wsgcn_jax.pipeline.workfolder.workspace import Workspace, read_arrays, write_arrays
from wsgcn_jax.types import DataError, Skipped

A, B = Recipe("a", {"cams.scale": 1}), Recipe("b", {"cams.scale": 2})
NAMES = ("one", "two", "three")
WRITES = ("*.npz", "*.json", "weights*")


def _work(folder):
    """Makes what is missing, as a stage of single photos does."""
    made = [name for name in NAMES if not (folder / f"{name}.npz").exists()]
    for name in made:
        write_arrays(folder / f"{name}.npz", {"x": np.arange(len(name))})
    (folder / "scores.json").write_text('{"miou": 50}')
    (folder / "weights").mkdir(exist_ok=True)
    (folder / "weights" / "d").write_bytes(bytes(range(256)))
    return [Skipped(name, "made") for name in made]


def _run(workspace, recipe=A, work=_work, **options):
    workspace.run("cams", recipe, work, writes=WRITES, **options)
    return [skipped.name for skipped in workspace.stamp("cams").skipped]


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path)
    assert _run(workspace) == [*NAMES]
    return workspace


def _plan(workspace, recipe=A, *, wanted=("cams",), overwrite=False):
    needs = {"cams": (), "labels": ("cams",)}
    recipes = {"cams": recipe, "labels": Recipe(f"labels of {recipe.fingerprint}", {})}
    return make_plan(workspace, needs, recipes, set(wanted), overwrite=overwrite)


def test_a_finished_stage_is_current_for_its_fingerprint_only(workspace):
    assert workspace.is_current("cams", "a")
    assert not workspace.is_current("cams", "b")
    assert workspace.stamp("cams").skipped[0] == Skipped("one", "made")
    assert _plan(workspace).todo == {}


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path):
    """One bit, in the middle; size and, where nobody reads the file, time stay."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    times = os.stat(path)
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + (path.suffix == ".npz")))


def _lose(path):
    path.unlink()


def _replace_by_folder(path):
    path.unlink()
    path.mkdir()


def _replace_by_link(path):
    path.rename(path.with_name("elsewhere"))
    os.symlink("elsewhere", path)


DAMAGES = (_truncate, _flip, _lose, _replace_by_folder, _replace_by_link)


@pytest.mark.fault(
    "a result of a finished stage that is cut, flipped, gone, a folder or a link",
    "it is named and made again, nothing else",
)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["one.npz", "scores.json", "weights/d"])
def test_what_is_damaged_is_said_and_made_again_and_nothing_else(workspace, file, damage):
    damage(workspace.folder("cams") / file)
    todo = _plan(workspace).todo
    assert str(todo["cams"]).startswith(f"damaged: {file} ")
    assert _run(workspace) == (["one"] if file == "one.npz" else [])
    assert _plan(workspace).todo == {}
    np.testing.assert_array_equal(read_arrays(workspace.folder("cams") / "one.npz")["x"], range(3))


def test_a_stage_that_makes_no_single_files_makes_all(workspace):
    _truncate(workspace.folder("cams") / "two.npz")
    assert _run(workspace, one_by_one=False) == [*NAMES]


@pytest.mark.fault(
    "one flipped bit, with the file's time as before",
    "found by the next stage that reads it",
)
def test_a_flipped_bit_that_shows_in_no_time_is_found_by_the_stage_that_reads_it(workspace):
    path = workspace.folder("cams") / "two.npz"
    times = os.stat(path)
    _flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _plan(workspace).todo == {}
    assert [*_plan(workspace, wanted=("cams", "labels")).todo] == ["cams", "labels"]
    with pytest.raises(DataError, match=r"needs 'cams'.*two\.npz has another content"):
        _plan(workspace, wanted=("labels",))


@pytest.mark.fault(
    "a `stage.json` that is damaged",
    "one line that says what to delete; nothing is deleted",
)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'"x"', r"stage\.json: damaged; delete"),
        (b"", r"stage\.json: damaged; delete"),
        (b"\xff\x00", r"stage\.json: damaged; delete"),
        (b"[]", r"stage\.json: damaged; delete"),
        (b'{"check": 1}', r"stage\.json: damaged; delete"),
        (b'{"fingerprint": "a", "complete": true}', "another version of this program"),
    ],
)
def test_a_damaged_stamp_is_named_and_nothing_deleted(workspace, content, message):
    (workspace.folder("cams") / "stage.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        _plan(workspace)
    assert len([*workspace.folder("cams").glob("*.npz")]) == 3


def test_a_flipped_bit_in_a_stamp_is_found(workspace):
    _flip(workspace.folder("cams") / "stage.json")
    with pytest.raises(DataError, match=r"stage\.json: damaged"):
        _plan(workspace)


@pytest.mark.fault(
    "a `stage.json` that names files outside",
    "one line; they are not touched",
    section="Untrusted files",
)
def test_a_stamp_cannot_name_files_outside(workspace, tmp_path):
    path = workspace.folder("cams") / "stage.json"
    raw = json.loads(path.read_text())
    raw.pop("check")
    raw["files"]["../victim"] = [1, 1, "x"]
    path.write_text(json.dumps({**raw, "check": fingerprint_of(raw)}))
    (tmp_path / "victim").write_text("")
    with pytest.raises(DataError, match=r"stage\.json: damaged"):
        _run(workspace)
    assert (tmp_path / "victim").exists()


@pytest.mark.fault(
    "a file, a link or your own folder where a stage's folder should be",
    "one line; it is left alone",
)
@pytest.mark.parametrize("kind", ["file", "link", "foreign"])
def test_what_is_no_stages_folder_is_refused(tmp_path, kind):
    folder = tmp_path / "cams"
    if kind == "file":
        folder.write_text("")
    elif kind == "link":
        (tmp_path / "other").mkdir()
        os.symlink("other", folder)
    else:
        folder.mkdir()
        (folder / "holiday.jpg").write_text("")
    with pytest.raises(DataError, match=r"cams: .*not a stage's folder; move it"):
        _run(Workspace(tmp_path))
    assert kind != "foreign" or (folder / "holiday.jpg").exists()


@pytest.mark.fault(
    "other settings or photos in a finished work folder",
    "one line with the keys that differ; `--overwrite` replaces",
)
@pytest.mark.fault("your own file in a stage's folder, with `--overwrite`", "it is moved to `kept`")
def test_other_settings_are_named_and_replace_only_where_they_may(workspace, tmp_path):
    (workspace.folder("cams") / "holiday.jpg").write_text("mine")
    with pytest.raises(DataError, match=r"cams there were made by other settings \(cams\.scale: "):
        _plan(workspace, B)
    with pytest.raises(DataError, match="overwrite"):
        _run(workspace, B)
    assert workspace.is_current("cams", "a")
    assert _run(workspace, B, overwrite=True) == [*NAMES]
    assert (tmp_path / "kept" / "cams" / "holiday.jpg").read_text() == "mine"
    assert not (workspace.folder("cams") / "holiday.jpg").exists()
    (workspace.folder("cams") / "holiday.jpg").write_text("mine too")
    _run(workspace, A, overwrite=True)
    assert (tmp_path / "kept" / "cams_2" / "holiday.jpg").read_text() == "mine too"


def test_differences_name_keys_and_values():
    before = {"a": 1, "b": (1.0, 2.0), "c": "x", "gone": None, "same": [3]}
    after = {"a": 2, "b": [1.0, 2.5], "c": "y" * 99, "new": True, "same": (3,)}
    assert differences(before, after) == [
        "a: 1 -> 2",
        "b: (1.0, 2.0) -> (1.0, 2.5)",
        f"c: x -> {'y' * 60}",
        "new: None -> True",
    ]


def _killed(folder):
    write_arrays(folder / "whole.npz", {})
    (folder / "half.npz").write_bytes((folder / "whole.npz").read_bytes()[:-1])
    (folder / "mine.txt").write_text("")
    raise KeyboardInterrupt


@pytest.mark.fault(
    "other settings on a stage that is not finished",
    "one line; what is whole is kept",
)
def test_an_unfinished_stage_keeps_its_whole_files_and_other_settings_are_refused(tmp_path):
    workspace = Workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _run(workspace, work=_killed)
    assert workspace.state("cams", "a").kind == "unfinished"
    seen = []

    def look(folder):
        seen.append(sorted(path.name for path in folder.glob("*.npz")))
        return ()

    _run(workspace, work=look)
    with pytest.raises(KeyboardInterrupt):
        _run(workspace, B, work=_killed, overwrite=True)
    with pytest.raises(DataError, match="overwrite"):
        _run(workspace, A, work=look)
    _run(workspace, A, work=look, overwrite=True)
    assert seen == [["whole.npz"], []]
    assert (tmp_path / "kept" / "cams" / "mine.txt").exists()


def test_a_stage_that_failed_before_it_wrote_anything_is_in_nobodys_way(tmp_path):
    workspace = Workspace(tmp_path)

    def fails(folder):
        raise DataError("at once")

    with pytest.raises(DataError, match="at once"):
        _run(workspace, A, work=fails)
    assert _run(workspace, B) == [*NAMES]


@pytest.mark.fault("a work folder that cannot be written", "one line")
def test_unwritable_work_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="workdir"):
        Workspace(tmp_path / "file" / "work")


def test_fingerprint_depends_on_content_only():
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})


@pytest.mark.fault("a map (`.npz`) of a run that is cut, or holds objects", "one line")
def test_arrays_round_trip_and_damage_is_named(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, {"a": np.arange(3)})
    assert read_arrays(path)["a"].tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"x\.npz: missing or damaged"):
        read_arrays(path)
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"x\.npz: missing or damaged"):
        read_arrays(path)
    np.save(tmp_path / "x.npy", np.arange(3))
    (tmp_path / "x.npy").rename(path)
    with pytest.raises(DataError, match=r"x\.npz: missing or damaged"):
        read_arrays(path)


def _curves(folder, first, last):
    curves = Curves(folder, "x", 3)
    curves.begin(first - 1)
    for step in range(first, last + 1):
        curves(step, {"loss": float(step + 10 * first)})
    curves.close()


@pytest.mark.fault(
    "a training that goes on",
    "`resuming at step ...`; curves repeat no step; damaged lines are passed over",
)
def test_a_resumed_curve_repeats_no_step_and_says_where_it_goes_on(tmp_path, capsys):
    _curves(tmp_path, 1, 3)
    with (tmp_path / "curves.jsonl").open("ab") as file:
        file.write(b'"x"\n{"step": "two"}\n\xff\n{"step": 4, "lo')
    assert read_curve(tmp_path) == [(1, 11.0), (2, 12.0), (3, 13.0)]
    assert "resuming" not in capsys.readouterr().err
    _curves(tmp_path, 2, 3)
    assert "x: resuming at step 1 of 3" in capsys.readouterr().err
    lines = (tmp_path / "curves.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
    assert read_curve(tmp_path) == [(1, 11.0), (2, 22.0), (3, 23.0)]
