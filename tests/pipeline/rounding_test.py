"""What accelerators do to products by default changes no label: TF32 and bfloat16, emulated.

The same products are rounded in either case, bfloat16's further.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("rounded_labels.py")
ALIKE = 99.9  # percent
# What TF32 does to a walk of 256 steps in these photos is four times as much.
WALK_ERROR = 1e-4


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounded")

    @cache
    def run(rounding):
        file = folder / f"{rounding}.npz"
        subprocess.run([sys.executable, "-W", "ignore", SCRIPT, rounding, file], check=True)
        with np.load(file) as npz:
            return dict(npz)

    return run


@pytest.mark.parametrize("rounding", ["bf16", pytest.param("tf32", marks=pytest.mark.slow)])
def test_walk_seeds_and_labels_stay_what_they_are(found, rounding):
    exact, rounded = found("none"), found(rounding)
    assert 0 < (exact["labels"] == 1).mean() < 1 and set(np.unique(exact["seeds"])) >= {0, 1}
    error = np.linalg.norm(rounded["walk"] - exact["walk"]) / np.linalg.norm(exact["walk"])
    assert error < WALK_ERROR
    for name in ("seeds", "labels", "refined"):
        assert 100 * (rounded[name] == exact[name]).mean() >= ALIKE, name
