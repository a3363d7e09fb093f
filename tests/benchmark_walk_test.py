"""The walk benchmark: like is compared with like."""

import json

import jax
import jax.numpy as jnp
import pytest
from drawn_voc import write_voc

from configs import voc_animals
from experiments import benchmark
from experiments.benchmarks import walk_profile
from experiments.benchmarks.published import check_comparable, comparable_config
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.types import DataError


def _figures(folder, size, *more):
    write_voc(folder / "voc", count=2, size=size)
    photos = [f"--root={folder / 'voc'}", "--size", *map(str, size), "--photos=2", "--full=2"]
    few = ["--epochs=60", "--batches", "1", "--areas", "1", f"--json={folder / 'figures.json'}"]
    assert benchmark.main(["walk", *photos, *few, *more]) == 0
    return json.loads((folder / "figures.json").read_text())


@pytest.mark.slow
def test_the_fast_fit_agrees_with_the_dense_one(tmp_path):
    figures = _figures(tmp_path, (48, 64), "--parts", "agreement", "times")
    assert figures["agreement_min"] >= 99
    assert "ratio" in figures


@pytest.mark.slow
def test_every_part_runs_and_the_dense_algorithm_holds_its_matrices(tmp_path):
    figures = _figures(tmp_path, (128, 192))
    assert figures["agreement_min"] >= 99
    # Adjacency, Laplacian and one more while the adjacency is made; cells are 4 pixels wide.
    matrix = 4 * (32 * 48) ** 2 / 1e6
    assert 3 * matrix <= figures["dense_peak_mb"] <= 6 * matrix
    assert figures["peak_mb_per_photo_by_batch"]["1"] < figures["dense_peak_mb"]
    assert "epoch_seconds" in figures["profile"]


def test_the_profile_fits_as_the_configuration_says(monkeypatch):
    monkeypatch.setattr(walk_profile, "machine", lambda: {"gemm_gflops": 1.0, "copy_gbytes": 1.0})
    monkeypatch.setattr(walk_profile, "_looped", lambda work, x: float(work(x).size > 0) * 1e-9)
    rows, columns = 8, 12
    colours = jax.random.uniform(jax.random.key(0), (rows, columns, 3))
    photo = PhotoInputs(
        key=jax.random.key(1),
        boundary=colours[..., 0],
        features=colours,
        cams=jnp.ones((2, rows, columns)),
        present=jnp.ones(2, bool),
        rgb=colours,
        valid=jnp.ones((rows, columns), bool),
        seeds=jnp.zeros((rows, columns), jnp.uint8),
    )
    figures = walk_profile.profile(photo, comparable_config())
    assert {"walk_seconds", "epoch_seconds", "epoch_share_of_gemm"} <= set(figures)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gcn.foreground_odds", 2.0),
        ("gcn.ensemble", 4),
        ("graph.symmetrise", "mean"),
        ("graph.steps", 100),
        ("gcn.a_new_key", 0),
    ],
)
def test_what_the_published_algorithm_lacks_is_refused(key, value):
    config = comparable_config()
    check_comparable(config)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(DataError, match=key):
        check_comparable(config)


def test_nothing_else_of_the_configuration_is_changed():
    config, changed = voc_animals.get_config(), comparable_config()
    assert config.gcn.foreground_odds != 1  # or nothing is tested above
    differing = {
        f"{section}.{key}"
        for section in ("graph", "seeds", "gcn")
        for key in config[section]
        if config[section][key] != changed[section][key]
    }
    assert differing == {"gcn.foreground_odds"}
