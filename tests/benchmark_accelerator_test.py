"""The benchmarks of accelerators, which are run on a CPU here, at toy sizes."""

import json

import pytest
from drawn_voc import write_voc

from experiments import benchmark


@pytest.mark.slow
def test_the_label_program_is_measured_at_toy_size(tmp_path):
    file = tmp_path / "figures.json"
    options = ["--parts", "label", "--forms", "gather", "--epochs", "2", f"--json={file}"]
    assert benchmark.main(["accelerator", *options]) == 0
    figures = json.loads(file.read_text())
    one = figures["label, gather, batch 2"]
    assert one["finite"] == 1
    # The features of a photo, which the fit reads in every epoch, are a part of what is held.
    rows, columns = 16, 24
    assert one["mb_per_photo"] > 4 * 160 * rows * columns / 1e6


def test_nothing_starts_when_the_budget_is_spent(tmp_path, capsys):
    assert benchmark.main(["accelerator", "--budget=-1"]) == 0
    said = capsys.readouterr().out
    assert said.count("left out, the budget is spent") == 2 + 8


@pytest.mark.slow
def test_rounding_of_drawn_photos(tmp_path):
    write_voc(tmp_path / "voc", count=2, size=(64, 80))
    file = tmp_path / "figures.json"
    options = [f"--root={tmp_path / 'voc'}", "--photos=2", "--size", "64", "80", f"--json={file}"]
    assert benchmark.main(["rounding", *options, "--longer-side=80", "--epochs=20"]) == 0
    figures = json.loads(file.read_text())
    assert figures["tf32_min"] >= 99.9 and figures["bf16_min"] >= 99.9
