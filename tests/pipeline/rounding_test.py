"""What accelerators do to products by default changes no label: TF32 and bfloat16, emulated.

Each with the form of the walk that its accelerators run by default.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from wsgcn_jax.graph.fast_walk import best_form

SCRIPT = Path(__file__).with_name("rounded_labels.py")
TPU, GPU = ("bf16", best_form("tpu")), ("tf32", best_form("gpu"))
ALIKE = 99.9  # percent
# What TF32 does to a walk of 256 steps in these photos is four times as much.
WALK_ERROR = 1e-4


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounded")

    @cache
    def run(rounding, form):
        file = folder / f"{rounding}_{form}.npz"
        subprocess.run([sys.executable, "-W", "ignore", SCRIPT, rounding, form, file], check=True)
        with np.load(file) as npz:
            return dict(npz)

    return run


@pytest.mark.parametrize(
    ("rounding", "form"), [TPU, pytest.param(*GPU, marks=pytest.mark.slow)], ids=["TPU", "GPU"]
)
def test_walk_seeds_and_labels_stay_what_they_are(found, rounding, form):
    exact, rounded = found("none", form), found(rounding, form)
    assert 0 < (exact["labels"] == 1).mean() < 1 and set(np.unique(exact["seeds"])) >= {0, 1}
    error = np.linalg.norm(rounded["walk"] - exact["walk"]) / np.linalg.norm(exact["walk"])
    assert error < WALK_ERROR
    for name in ("seeds", "labels", "refined"):
        assert 100 * (rounded[name] == exact[name]).mean() >= ALIKE, name
