"""What accelerators do to products by default changes no label: TF32 and bfloat16, emulated."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("rounded_labels.py")
ALIKE = 99.9  # percent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounded")
    arrays = {}
    for rounding in ("none", "tf32", "bf16"):
        file = folder / f"{rounding}.npz"
        subprocess.run([sys.executable, "-W", "ignore", SCRIPT, rounding, file], check=True)
        with np.load(file) as npz:
            arrays[rounding] = dict(npz)
    return arrays


@pytest.mark.parametrize("rounding", ["tf32", "bf16"])
def test_walk_seeds_and_labels_stay_what_they_are(found, rounding):
    exact, rounded = found["none"], found[rounding]
    assert 0 < (exact["labels"] == 1).mean() < 1 and 0 < (exact["seeds"] == 255).mean() < 1
    error = np.linalg.norm(rounded["walk"] - exact["walk"]) / np.linalg.norm(exact["walk"])
    assert error < 1 - ALIKE / 100
    for name in ("seeds", "labels", "refined"):
        assert 100 * (rounded[name] == exact[name]).mean() >= ALIKE, name
