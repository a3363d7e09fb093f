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
LABELS = np.zeros((8, 8), np.uint8)

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
    "a radius of 1": (lambda: ws.graph.affinity_stencil(MAP, radius=1), "from 2 up to 64"),
    "a radius of 2.5": (lambda: ws.graph.affinity_stencil(MAP, radius=2.5), "a whole number"),
    "half an update of the CRF": (
        lambda: ws.crf.refine(PHOTO, SCORES, iterations=1.5),
        "a whole number from 0",
    ),
    "no settings of the CRF": (
        lambda: ws.crf.refine(PHOTO, SCORES, None),
        "settings is a NoneType",
    ),
    "a CRF of no width": (
        lambda: ws.crf.refine(PHOTO, SCORES, ws.crf.DEEPLAB._replace(bilateral=(4.0, 0.0, 1.0))),
        "above 0",
    ),
    "an array for a graph": (lambda: ws.graph.dense_walk(MAP), "give a graph"),
    "an array for a graph that is kept": (lambda: ws.graph.sparse_walk(MAP), "give a graph"),
    "an array for a walk": (lambda: ws.graph.random_walk(MAP, MAP), "what `fast_walk` returns"),
    "an array for a walk's adjacency": (lambda: ws.graph.gcn_adjacency(MAP), "walk is a ndarray"),
    "an array for an adjacency": (lambda: ws.graph.aggregate(MAP, MAP), "`gcn_adjacency`"),
    "a word for the classes of a picture": (
        lambda: ws.plot.overlay(PHOTO, LABELS, "cat"),
        "a list of names by id",
    ),
    "a row of pictures too large": (
        lambda: ws.plot.row([np.zeros((1, 100_000, 3), np.uint8)]),
        "24000000 x 240 pixels",
    ),
    "a row without height": (lambda: ws.plot.row([PHOTO], height=0), "from 1 up to 10000"),
    "an empty work folder": (
        lambda: ws.train([PHOTO], [["cat"]], workdir=""),
        "workdir is empty",
    ),
    "a work folder in a bucket": (
        lambda: ws.load("gs://bucket/run"),
        "name a folder on a disk",
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
    "no labels for the CRF": (lambda: ws.crf.refine(PHOTO, SCORES[:0]), "nothing in it"),
    "one label for a unary": (lambda: ws.crf.label_unary(np.zeros((8, 8), int), 1), "classes"),
    "class 9 of 3": (lambda: ws.crf.label_unary(np.full((8, 8), 9), 3), "class 9"),
    "an unknown kernel": (
        lambda: ws.crf.refine(PHOTO, SCORES, kernel="exakt"),
        "none of lattice, attention, sampled, exact",
    ),
    "None for an array": (lambda: ws.graph.affinity_stencil(None), "NoneType; give an array"),
    "CAMs of no class": (lambda: ws.seeds.partial_labels(SCORES[:0], PRESENT[:0]), "nothing in it"),
    "a photo of no pixel": (lambda: ws.crf.refine(PHOTO[:0], SCORES[:, :0]), "nothing in it"),
    "a photo in 0..1 for a picture": (lambda: ws.plot.overlay(PHOTO / 255, LABELS), "integers"),
    "a map for a mask": (lambda: ws.plot.overlay(PHOTO, MAP), "integers"),
    "a mask of another size": (lambda: ws.plot.overlay(PHOTO, LABELS[1:]), "h of image being 8"),
    "a class without a name": (
        lambda: ws.plot.overlay(PHOTO, LABELS + 9, ("background", "cat")),
        "holds class 9, but there are 2",
    ),
    "scores for masks": (lambda: ws.metrics.confusion_matrix(LABELS, MAP, 2), "whole numbers"),
    "no classes to score": (lambda: ws.metrics.confusion_matrix(LABELS, LABELS, 0), "at least 1"),
    "a matrix that is not square": (lambda: ws.metrics.iou(np.ones((2, 3), int)), "square"),
    "the mean of class 5 of 2": (
        lambda: ws.metrics.mean_iou(np.eye(2, dtype=int), classes=[5]),
        "no class 5",
    ),
    "no list as a photo's labels": (
        lambda: ws.train([PHOTO], [None], workdir="none"),
        "labels of photo 0 are None; give a list",
    ),
    "a name as a photo's labels": (
        lambda: ws.train([PHOTO], ["cat"], workdir="none"),
        "labels of photo 0 are 'cat'; give a list",
    ),
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
def test_what_is_wrong_is_named(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
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
