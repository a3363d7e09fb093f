"""The benchmark of the networks, without PyTorch and with it."""

import json

import pytest

from experiments import benchmark
from experiments.benchmarks import torch_networks

SIDE = 64
# Published for 224 pixels with a head of 1,000 classes: 4,652,008 weights, of which the head has
# 1,281,000, and 407 million products. DeepLab's four 3x3 heads of 21 classes come on top.
LITE0_WEIGHTS = 4_652_008 - 1_281_000
LITE0_GFLOP = 2 * 0.407 * (SIDE / 224) ** 2
HEADS = 4 * 9 * 1280 * 21


def _figures(tmp_path, *options):
    file = tmp_path / "figures.json"
    more = [f"--side={SIDE}", "--batch=1", "--rounds=1", f"--json={file}", *options]
    assert benchmark.main(["models", *more]) == 0
    return json.loads(file.read_text())


@pytest.mark.slow
def test_lite0_has_the_weights_and_products_of_the_published_one(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_networks, "torch", None)
    found = _figures(tmp_path, "--only=segmenter_lite0")["segmenter_lite0"]
    assert found["parameters"] == LITE0_WEIGHTS + HEADS + 4 * 21
    # At output stride 16, where the published one has 32, up to four times the products.
    heads = 2e-9 * HEADS * (SIDE / 16) ** 2
    assert LITE0_GFLOP + heads < found["forward"]["gflop"] < 4 * LITE0_GFLOP + heads
    # Every layer learns: a product forward is one more for the input's gradient, one for weights'.
    assert 2.5 < found["training"]["gflop"] / found["forward"]["gflop"] < 3.5
    assert "ratio" not in found["forward"]


@pytest.mark.slow
@pytest.mark.skipif(torch_networks.torch is None, reason="needs the torch extra")
def test_pytorch_computes_the_same(tmp_path):
    figures = _figures(tmp_path)
    for name in ("classifier", "boundary", "segmenter_resnet101", "segmenter_lite0"):
        assert figures[name]["difference"] < 1e-3
        assert "ratio" in figures[name]["training"]
