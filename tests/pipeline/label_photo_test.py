"""The graph part of a photo: padding, batches on either kind of backend, impossible settings."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline import tiny_labels

from wsgcn_jax.crf import PARTIAL_LABELS
from wsgcn_jax.pipeline.label_photo import PhotoInputs, label_photo, seeds_of_cams, seeds_of_walk
from wsgcn_jax.pipeline.label_program import each_photo

OPTIONS = {"radius": 3, "steps": 64, "basis": 16, "epochs": 40, "learning_rate": 0.1}
RULES = {
    "walk": seeds_of_walk,
    "cam": partial(seeds_of_cams, confident=1.0, crf=PARTIAL_LABELS, kernel="exact"),
}
SIDE = tiny_labels.SIDE


def _padded(photos):
    """The same photos on a larger grid; what is in the padding looks like anything but nothing."""
    rows, columns = (0, 6), (0, 9)
    maps = {"boundary": 0.2, "cams": 0.7, "rgb": 0.9, "features": 3.0, "valid": False}
    for name, value in maps.items():
        array = np.asarray(getattr(photos, name))
        widths = [(0, 0)] * array.ndim
        first = 2 if name == "cams" else 1
        widths[first], widths[first + 1] = rows, columns
        photos = photos._replace(**{name: np.pad(array, widths, constant_values=value)})
    return photos


@pytest.mark.parametrize(("rule", "walk"), [("cam", "fast"), ("walk", "dense")])
def test_padding_changes_nothing_of_a_photo(rule, walk):
    photos = tiny_labels.photos(range(2))
    options = {"seed_rule": RULES[rule], "walk": walk, "walk_features": rule == "walk", **OPTIONS}
    program = jax.jit(jax.vmap(partial(label_photo, **options)))
    alone, among = program(photos), program(_padded(photos))
    assert {0, 1} <= set(np.unique(alone.seeds).tolist())
    np.testing.assert_array_equal(among.seeds[:, :SIDE, :SIDE], alone.seeds)
    np.testing.assert_allclose(among.walk[..., :SIDE, :SIDE], alone.walk, atol=2e-3)
    ours, theirs = (np.exp(x.log_probs[..., :SIDE, :SIDE]) for x in (alone, among))
    np.testing.assert_allclose(theirs, ours, atol=2e-3)
    assert (theirs.argmax(axis=1) == ours.argmax(axis=1)).all()
    assert (ours.argmax(axis=1) == 1).any() and (ours.argmax(axis=1) == 0).any()


@pytest.mark.slow
def test_a_batch_at_once_gives_what_photo_after_photo_gives(monkeypatch):
    """At once is the way of accelerators, one after the other that of CPUs."""
    photos = jax.tree.map(jnp.asarray, tiny_labels.photos(range(2)))
    one = partial(label_photo, seed_rule=seeds_of_walk, **OPTIONS)
    ways = {}
    for backend in ("cpu", "tpu"):
        with monkeypatch.context() as patch:
            patch.setattr(jax, "default_backend", lambda backend=backend: backend)
            outer = jax.make_jaxpr(partial(each_photo, one))(photos).eqns
            loops = [step.params["length"] for step in outer if step.primitive.name == "scan"]
            ways[backend] = jax.jit(partial(each_photo, one)), loops
    assert ways["cpu"][1] == [2]  # the loop over the photos
    assert ways["tpu"][1][0] == OPTIONS["epochs"]  # the fit of both
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "tpu")
        at_once = ways["tpu"][0](photos)
    after_each_other = ways["cpu"][0](photos)
    np.testing.assert_array_equal(at_once.seeds, after_each_other.seeds)
    np.testing.assert_allclose(
        np.exp(at_once.log_probs), np.exp(after_each_other.log_probs), atol=1e-3
    )


@pytest.mark.parametrize(
    ("backend", "count", "rounds"),
    [("cpu", 4, 4), ("gpu", 1, 0), ("gpu", 32, 0), ("tpu", 2, 0), ("tpu", 6, 3), ("tpu", 32, 16)],
)
def test_how_many_rounds_a_batch_takes(monkeypatch, backend, count, rounds):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    photos = PhotoInputs(*(jnp.zeros(count) for _ in PhotoInputs._fields))
    text = str(jax.make_jaxpr(partial(each_photo, lambda photo: photo.valid + 1))(photos))
    assert re.findall(r"length=(\d+)", text) == [str(rounds)] * (rounds > 0)
