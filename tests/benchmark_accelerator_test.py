"""The benchmarks of accelerators, which are run on a CPU here, at toy sizes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_voc import write_voc
from flax import linen as nn

from experiments import benchmark
from experiments.benchmarks import accelerator, device_parts, models, torch_networks
from experiments.benchmarks.training_steps import training_step
from wsgcn_jax.pipeline.label_photo import PhotoOutputs


class _Tiny(nn.Module):
    """A convolution of the photo, in the photo's type."""

    @nn.compact
    def __call__(self, x):
        stored = self.variable("batch_stats", "mean", jnp.zeros, (2,))
        kernel = self.param("kernel", nn.initializers.ones, (3, 2)).astype(x.dtype)
        return x @ kernel + stored.value.astype(x.dtype)[None, None, None]


def _run(tmp_path, *options):
    file = tmp_path / "figures.json"
    assert benchmark.main(["accelerator", f"--json={file}", *options]) == 0
    return json.loads(file.read_text())


@pytest.mark.slow
def test_the_label_program_is_measured_at_toy_size(tmp_path):
    one = _run(tmp_path, "--parts", "label", "--epochs=2")["label, gather, batch 2"]
    assert one["finite"] == 1
    # The features of a photo, which the fit reads in every epoch, are a part of what is held.
    rows, columns = 16, 24
    assert one["mb_per_photo"] > 4 * 160 * rows * columns / 1e6


@pytest.mark.slow
def test_the_dense_algorithm_takes_what_all_its_squarings_and_epochs_take():
    dense = device_parts.dense(device_parts.drawn_inputs(1, (8, 12)), 40, "highest")
    assert dense["squarings_timed"] < 8 and dense["epochs_timed"] < 40
    whole = 8 * dense["ms_a_squaring"] + 40 * dense["ms_an_epoch"] + dense["ms_of_the_set_up"]
    assert dense["ms_per_photo"] == pytest.approx(whole)


@pytest.fixture
def quick(monkeypatch):
    """No part computes anything; the second dense one fails."""
    monkeypatch.setattr(device_parts, "drawn_inputs", lambda photos, grid: photos)
    monkeypatch.setattr(device_parts, "label", lambda *a: {"ms_per_photo": 2.0, "finite": 1.0})
    monkeypatch.setattr(device_parts, "rounding", lambda *a: {"same_labels_min": 100.0})
    monkeypatch.setattr(device_parts, "crf", lambda *a: {"ms_per_photo": 3.0})
    monkeypatch.setattr(accelerator, "training_step", lambda name, **k: {"ms": 4.0})

    def dense(inputs, epochs, precision):
        if precision is None:
            raise RuntimeError("RESOURCE_EXHAUSTED:\n  no room")
        return {"ms_per_photo": 500.0}

    monkeypatch.setattr(device_parts, "dense", dense)


def test_a_part_that_fails_is_a_line_and_the_rest_goes_on(tmp_path, capsys, quick):
    figures = _run(tmp_path)
    line = "RuntimeError: RESOURCE_EXHAUSTED: no room"
    assert figures["dense, default"] == {"error": line}
    assert f"dense, default: failed: {line}\n" in capsys.readouterr().out
    assert figures["ratio_float32"] == 250 and "ratio_default" not in figures
    assert figures["rounding"] == {"same_labels_min": 100.0} and figures["left_out"] == []
    assert sum(name.startswith("step,") for name in figures) == 4 * 2


def test_the_most_important_parts_come_first_and_what_does_not_fit_is_listed(
    tmp_path, capsys, quick, monkeypatch
):
    monkeypatch.setattr(accelerator, "CPU", accelerator.DEVICE)
    figures = _run(tmp_path, "--minutes=2.5")
    done = [name for name, found in figures.items() if isinstance(found, dict)]
    assert done[:4] == ["label, gather, batch 64", "dense, float32", "dense, default", "rounding"]
    figures = _run(tmp_path, "--minutes=0.7", "--parts", "label", "dense")
    assert figures["left_out"] == [f"label, gather, batch {n}" for n in (64, 1, 16, 128)]
    assert "label, gather, batch 64: left out, it would not fit" in capsys.readouterr().out
    # A batch of the CRF takes so many times what one photo takes.
    takes = accelerator._expected("CRF, x", 32, float, {"CRF, x": {"ms_per_photo": 2000.0}})
    assert takes == pytest.approx(20 + 2 * 32 * 2)


def test_labels_are_compared_with_those_of_full_precision(monkeypatch):
    def stub(form, epochs):
        precise = jax.config.jax_default_matmul_precision == "highest"

        def one(photo):
            best = jnp.where(precise, 0.0, photo.rgb[..., 0])
            return PhotoOutputs(best, best, jnp.stack([1 - best, 0.5 + 0 * best, 9 + 0 * best]))

        return one

    monkeypatch.setattr(device_parts, "_labeller", stub)
    photos = device_parts.drawn_inputs(2, (4, 5))
    rgb = np.zeros((2, 4, 5, 3), np.float32)
    rgb[1, 0, :2] = 1  # 2 nodes of 20 get another label by rounding; the third class is absent
    photos = photos._replace(rgb=jnp.asarray(rgb), present=jnp.asarray([[True, False]] * 2))
    found = device_parts.rounding(photos, 1)
    assert found == {"same_labels_min": 90.0, "same_labels_median": 95.0}


@pytest.mark.parametrize("bfloat16", [False, True])
def test_training_steps_compute_in_the_type_that_is_asked_for(monkeypatch, bfloat16):
    seen = []

    def outputs(y):
        seen.append(y.dtype)
        return (y,)

    monkeypatch.setattr(models, "cases", lambda: {"tiny": models.Case(_Tiny(), None, outputs)})
    monkeypatch.setattr(torch_networks, "torch", None)
    found = training_step("tiny", bfloat16=bfloat16, side=8, batch=2)
    assert {dtype.name for dtype in seen} == {"bfloat16" if bfloat16 else "float32"}
    assert found["ms"] > 0 and "torch_ms" not in found


@pytest.mark.slow
def test_rounding_of_drawn_photos(tmp_path):
    write_voc(tmp_path / "voc", count=2, size=(64, 80))
    file = tmp_path / "figures.json"
    options = [f"--root={tmp_path / 'voc'}", "--photos=2", "--size", "64", "80", f"--json={file}"]
    assert benchmark.main(["rounding", *options, "--longer-side=80", "--epochs=20"]) == 0
    figures = json.loads(file.read_text())
    assert figures["tf32_min"] >= 99.9 and figures["bf16_min"] >= 99.9
