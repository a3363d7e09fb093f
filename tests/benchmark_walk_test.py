"""The walk benchmark: like is compared with like."""

import json

import pytest
from drawn_voc import write_voc

from experiments import benchmark
from experiments.benchmarks.published import check_comparable, comparable_config
from wsgcn_jax.types import DataError

SIZE = (96, 128)


def test_the_fast_fit_agrees_with_the_dense_one(tmp_path):
    write_voc(tmp_path / "voc", count=2, size=SIZE)
    options = [f"--root={tmp_path / 'voc'}", "--size", *map(str, SIZE), "--photos=2", "--full=2"]
    few = ["--epochs=60", "--batches", "1", "--areas", "1"]
    file = tmp_path / "figures.json"
    assert benchmark.main(["walk", *options, *few, f"--json={file}"]) == 0
    figures = json.loads(file.read_text())
    assert figures["agreement_min"] >= 99
    # An odds of 2 on one side would show: it moves the border of every object.
    assert figures["miou_gap"] < 0.5
