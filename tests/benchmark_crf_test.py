"""The CRF benchmark, with pydensecrf2 missing and with a stand-in that knows the exact answer."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import benchmark

OPTIONS = ["crf", "--size", "24", "32", "--repeats=1"]


class ExactCRF:
    """Pydensecrf's `DenseCRF2D`, by matrices of all pairs of pixels."""

    def __init__(self, width, height, labels):
        self.places = np.stack(np.mgrid[:height, :width], axis=-1).reshape(-1, 2).astype(float)
        self.kernels = []

    def setUnaryEnergy(self, unary):
        self.unary = unary

    def addPairwiseGaussian(self, *, sxy, compat):
        self._add(self.places / sxy, compat)

    def addPairwiseBilateral(self, *, sxy, srgb, rgbim, compat):
        colours = rgbim.reshape(-1, 3).astype(float)
        self._add(np.concatenate([self.places / sxy, colours / srgb], axis=1), compat)

    def _add(self, points, weight):
        kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=-1) / 2)
        scale = kernel.sum(axis=1) ** -0.5
        self.kernels.append(weight * scale[:, None] * kernel * scale[None])

    def inference(self, updates):
        energy = self.unary
        for _ in range(updates + 1):
            powers = np.exp(energy.min(axis=0) - energy)
            chances = powers / powers.sum(axis=0)
            energy = self.unary - sum(chances @ kernel for kernel in self.kernels)
        return chances


def _figures(tmp_path, *more):
    file = tmp_path / "figures.json"
    assert benchmark.main([*OPTIONS, *more, f"--json={file}"]) == 0
    return json.loads(file.read_text())


@pytest.mark.parametrize("installed", [False, True])
def test_ours_agrees_with_exact_kernels(tmp_path, monkeypatch, installed):
    stand_in = SimpleNamespace(DenseCRF2D=ExactCRF) if installed else None
    monkeypatch.setitem(sys.modules, "pydensecrf", SimpleNamespace(densecrf=stand_in))
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", stand_in)
    figures = _figures(tmp_path)
    # The lattice's error is largest on photos as small as these.
    assert figures["exact"]["agreement"] >= 0.99
    assert ("agreement" in figures) == installed
    if installed:
        assert figures["agreement"] >= 0.96
        assert figures["mean_abs_diff"] <= 0.025


def test_attention_is_the_exact_answer(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf", SimpleNamespace(densecrf=None))
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    exact = _figures(tmp_path, "--kernel=attention")["exact"]
    assert exact["agreement"] == 1 and exact["mean_abs_diff"] < 1e-5


def test_a_run_needs_its_photos(tmp_path, capsys):
    assert benchmark.main([*OPTIONS, f"--workdir={tmp_path}", f"--json={tmp_path / 'x'}"]) == 2
    assert "--workdir needs --root" in capsys.readouterr().err
