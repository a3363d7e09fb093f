"""The benchmark of CAMs: every source is asked, and perfect CAMs score 100."""

import json

import numpy as np
import pytest
from drawn_voc import write_voc

from configs import voc_animals
from experiments import benchmark
from experiments.benchmarks import cams
from wsgcn_jax import data
from wsgcn_jax.pipeline.stages import run_stages


@pytest.mark.parametrize("trained", [True, False])
def test_perfect_cams_score_a_hundred_and_dark_ones_less(tmp_path, monkeypatch, trained):
    root, run = tmp_path / "VOC2012", tmp_path / "run"
    names = write_voc(root, count=2, size=(64, 80))
    config = voc_animals.get_config().unlock()
    config.data.root, config.stages = str(root), "data,classifier"
    config.classifier.linear = config.segmenter.presence = trained
    run_stages(config, str(run))
    masks = [data.read_mask(root / "SegmentationClass" / f"{name}.png") for name in names]
    asked = []

    def program(config, classes, labelled, folder):
        asked.append((config.cams.sources, config.cams.scales))
        dark = config.cams.sources == "imagenet"

        def maps(photos, grids, shape):
            found = np.zeros((len(grids), len(classes), *shape), np.float16)
            for row, mask in zip(found, masks, strict=False):
                small = mask[2::4, 2::4]
                for index in range(len(classes)):
                    row[index, : small.shape[0], : small.shape[1]] = small == index + 1
            return found * (0 if dark else 1)

        return maps

    monkeypatch.setattr(cams, "configured_program", program)
    file = tmp_path / "cams.json"
    options = [f"--root={root}", f"--workdir={run}", "--photos=2", f"--json={file}"]
    assert benchmark.main(["cams", *options]) == 0
    figures = json.loads(file.read_text())
    scales = [(1.0, 0.5, 1.5, 1.75), (1.0, 0.5, 1.5)]
    sources = cams.SOURCES if trained else ("imagenet",)
    assert asked == [(source, each) for source in sources for each in scales]
    assert len(figures) == len(asked)
    for name, figure in figures.items():
        perfect = not name.startswith("imagenet")
        assert (figure["miou"] > 90) is perfect  # dark ones are right of the background only
        assert (figure["miou"] < 35) is not perfect


def test_a_run_without_a_classifier_is_one_line(tmp_path, capsys):
    root, run = tmp_path / "VOC2012", tmp_path / "run"
    write_voc(root, count=1, size=(64, 80))
    config = voc_animals.get_config().unlock()
    config.data.root, config.stages = str(root), "data"
    run_stages(config, str(run))
    assert benchmark.main(["cams", f"--root={root}", f"--workdir={run}"]) == 2
    assert "finish the classifier stage of this run first" in capsys.readouterr().err
