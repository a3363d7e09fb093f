"""The whole pipeline at its smallest: every stage, the scores, the report, skipping, resuming."""

import json
import re
import shutil

import numpy as np
import pytest
from etils.epath import Path

from configs import test as tiny
from experiments.report import main as report_command
from experiments.results import main as results_command
from wsgcn_jax import data, report
from wsgcn_jax.pipeline import stages
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.pipeline.workfolder.workspace import Workspace
from wsgcn_jax.types import DataError

STAGES = [stage.name for stage in stages.STAGES]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    assert run_stages(tiny.get_config(), str(folder)) == []
    return folder


def _prints(workdir):
    return {name: Workspace(workdir).stamp(name) for name in STAGES}


def test_every_stage_leaves_what_the_next_one_reads(workdir):
    split = data.load(workdir / "data", "train")
    for index, name in enumerate(split.names):
        mask = data.read_mask(workdir / "pseudo_labels" / f"{name}.png")
        assert mask.shape == split.sizes[index]
        allowed = {0, *(np.flatnonzero(split.labels[index]) + 1)}
        assert set(np.unique(mask)) <= allowed
    val = data.load(workdir / "data", "val")
    for index, name in enumerate(val.names):
        assert data.read_mask(workdir / "segmenter/val" / f"{name}.png").shape == val.sizes[index]


def test_scores_and_report(workdir):
    scores = json.loads((workdir / "scores.json").read_text())
    for split, key in (("train", "cam"), ("train", "random_walk"), ("train", "gcn")):
        assert 0 <= scores[split][key]["miou"] <= 100
    assert "background" in scores["val"]["segmenter"]["iou"]
    worst = scores["worst"]
    assert set(worst["train"]) <= set(data.load(workdir / "data", "train").names)
    assert worst["val"]
    assert "random walk" in report.table_text(scores)
    page = report.write_report(tiny.get_config(), Path(workdir), [])
    photos = json.loads(re.findall(r'id="data">(.*?)</script>', page.read_text())[0])["photos"]
    ids = re.findall(r' id="([^"]*)"', page.read_text())
    assert len(ids) == len(set(ids)) and {"scores", "confusion", "settings", "about"} <= set(ids)
    shown = [(photo["split"], photo["name"]) for photo in photos]
    count = tiny.get_config().report.photos
    expected = [("train", n) for n in worst["train"]], [("val", n) for n in worst["val"]]
    assert shown == [turn for pair in zip(*expected, strict=False) for turn in pair][: 2 * count]
    drawn = {"cam", "seeds", "boundary", "walk", "gcn", "final", "truth", "errors"}
    assert set(photos[0]["layers"]) == drawn
    assert set(photos[1]["layers"]) == {"final", "truth", "errors"}


def test_the_report_keeps_to_its_size_by_fewer_photos(workdir, monkeypatch):
    config = tiny.get_config()
    whole = report.write_report(config, Path(workdir), []).read_text()
    monkeypatch.setattr(report.run, "MOST_BYTES", len(whole) - 1000)
    page = report.write_report(config, Path(workdir), []).read_text()
    assert len(page) <= len(whole) - 1000
    assert 0 < page.count("data:image/webp") < whole.count("data:image/webp")


def test_the_report_is_written_again_from_the_work_folder_alone(workdir, capsys):
    page = report.write_report(tiny.get_config(), Path(workdir), [])
    before = page.read_bytes()
    page.unlink()
    assert report_command([f"--workdir={workdir}"]) == 0
    assert page.read_bytes() == before and str(page) in capsys.readouterr().out


@pytest.mark.fault("a folder called `report.html` in a work folder", "one line")
def test_a_folder_where_the_page_goes_is_one_line(workdir, capsys):
    page = report.write_report(tiny.get_config(), Path(workdir), [])
    page.unlink()
    page.mkdir()
    try:
        assert report_command([f"--workdir={workdir}"]) == 2
    finally:
        page.rmdir()
    err = capsys.readouterr().err
    assert err.startswith(f"error: {page} cannot be written: it is a folder; move it away")
    assert err.count("\n") == 1


def test_the_scores_go_into_a_page(workdir, tmp_path):
    report.write_report(tiny.get_config(), Path(workdir), [])
    page = tmp_path / "page.md"
    page.write_text("<!-- results: tiny -->\n<!-- end -->\n")
    assert results_command([f"--workdir={workdir}", "--name=tiny", f"--page={page}"]) == 0
    scores = json.loads((workdir / "scores.json").read_text())["train"]
    for labels in ("cam", "gcn"):
        assert f"| {scores[labels]['miou']:.1f} |" in page.read_text()


@pytest.mark.fault("a key changed, with `--overwrite`", "only what depends on it is made again")
def test_a_second_run_does_nothing_and_a_changed_key_only_what_depends_on_it(workdir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    before = _prints(copy)
    run_stages(tiny.get_config(), str(copy))
    assert _prints(copy) == before
    config = tiny.get_config()
    config.report.classes = ("background", "star")
    with pytest.raises(DataError, match=r"report\.classes: None -> \(background, star\)"):
        run_stages(config, str(copy))
    assert _prints(copy) == before
    run_stages(config, str(copy), overwrite=True)
    after = _prints(copy)
    assert [name for name in STAGES if after[name] != before[name]] == ["evaluate"]
    assert set(json.loads((copy / "scores.json").read_text())["train"]["gcn"]["iou"]) <= {
        "background",
        "star",
    }


@pytest.mark.slow
def test_a_run_killed_between_photos_ends_with_the_same_scores(workdir, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    config = tiny.get_config()
    for name in ("pseudo_labels", "segmenter", "evaluate"):
        shutil.rmtree(copy / name)
    original, written = stages.pseudo_labels.write_arrays, []

    def dies_on_the_second(path, arrays):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        original(path, arrays)

    monkeypatch.setattr(stages.pseudo_labels, "write_arrays", dies_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_stages(config, str(copy))
    monkeypatch.undo()
    assert not Workspace(copy).stamp("pseudo_labels").complete
    config.stages = "pseudo_labels"
    run_stages(config, str(copy))
    for path in (workdir / "pseudo_labels").glob("*.png"):
        assert path.read_bytes() == (copy / "pseudo_labels" / path.name).read_bytes()


@pytest.mark.fault("a stage without those before it", "one line that names them")
def test_a_part_needs_the_stages_before_it(tmp_path):
    config = tiny.get_config()
    config.stages = "cams"
    with pytest.raises(DataError, match=r"'cams' needs 'data'"):
        run_stages(config, str(tmp_path))
    config.stages = "camms"
    with pytest.raises(DataError, match=r"stages='camms': must be .*did you mean 'cams'"):
        run_stages(config, str(tmp_path))
