"""The doors of the public functions: wrong arrays and numbers end with one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wsgcn_jax as ws

MAP = np.full((8, 8), 0.5, np.float32)
PHOTO = np.full((8, 8, 3), 128, np.uint8)
SCORES = np.full((2, 8, 8), 0.5, np.float32)
PRESENT = np.ones(2, bool)

WRONG = {
    "a boundary map of bytes": (
        lambda: ws.graph.affinity_stencil((MAP * 255).astype(np.uint8)),
        "divide by 255",
    ),
    "a boundary map up to 255": (lambda: ws.graph.affinity_stencil(MAP * 255), "between 0 and 1"),
    "a boundary map with NaN": (lambda: ws.graph.affinity_stencil(MAP * np.nan), "NaN"),
    "a boundary map with channels": (lambda: ws.graph.affinity_stencil(SCORES), r"\[H W\]"),
    "a radius of 0": (lambda: ws.graph.affinity_stencil(MAP, radius=0), "radius"),
    "colours of bytes": (lambda: ws.graph.laplacian_stencil(PHOTO), "divide by 255"),
    "colours up to 255": (
        lambda: ws.graph.laplacian_stencil(PHOTO.astype(np.float32)),
        "between 0 and 1",
    ),
    "a walk of -1 steps": (lambda: ws.graph.fast_walk(SCORES, steps=-1), "steps"),
    "a list for an array": (lambda: ws.graph.laplacian_stencil([[0.1]]), "array"),
    "CAMs above 1": (lambda: ws.seeds.partial_labels(SCORES * 3, PRESENT), "between 0 and 1"),
    "CAMs with NaN": (lambda: ws.seeds.partial_labels(SCORES * np.nan, PRESENT), "NaN"),
    "one class too few": (
        lambda: ws.seeds.partial_labels(SCORES, PRESENT[:1]),
        "k of cams being 2",
    ),
    "classes as numbers": (lambda: ws.seeds.walk_seeds(SCORES, PRESENT.astype(int)), "bool"),
    "logits for the CRF": (lambda: ws.crf.refine(PHOTO, SCORES * 9), "between 0 and 1"),
    "NaN for the CRF": (lambda: ws.crf.refine(PHOTO, SCORES * np.nan), "NaN"),
    "classes last for the CRF": (
        lambda: ws.crf.refine(PHOTO, np.moveaxis(SCORES, 0, 2)),
        "of image being 8",
    ),
    "a photo in 0..1 for the CRF": (
        lambda: ws.crf.refine(PHOTO / np.float32(255), SCORES),
        "0..255",
    ),
    "no labels for the CRF": (lambda: ws.crf.refine(PHOTO, SCORES[:0]), "0 labels"),
    "one label for a unary": (lambda: ws.crf.label_unary(np.zeros((8, 8), int), 1), "classes"),
    "class 9 of 3": (lambda: ws.crf.label_unary(np.full((8, 8), 9), 3), "class 9"),
    "dropout of everything": (
        lambda: ws.gcn.fit_gcn(
            jax.random.key(0),
            lambda x: x,
            MAP,
            np.zeros(8, int),
            np.ones(8, bool),
            np.arange(8, dtype=np.uint32),
            lambda z: z.sum(),
            classes=2,
            dropout=1.0,
        ),
        "dropout",
    ),
}


@pytest.mark.fault("{case}", "one line that names argument and range")
@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case):
    call, named = WRONG[case]
    with pytest.raises(ws.DataError, match=named) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.fault("wrong shapes under `jax.jit`", "one line as well")
def test_shapes_are_checked_under_jit_too():
    with pytest.raises(ws.DataError, match="k of cams"):
        jax.jit(ws.seeds.partial_labels)(SCORES, PRESENT[:1])


def test_what_is_right_passes_with_rounding():
    stencil = ws.graph.affinity_stencil(jnp.full((8, 8), 1 + 1e-6))
    assert np.isfinite(stencil).all()
