"""The boundary loss against golden numbers and against loops over pairs and paths."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_weights import golden, nhwc

from wsgcn_jax.models import boundary_loss
from wsgcn_jax.models.boundary_loss import affinity_displacement_loss

IRN = golden("irn_net")
PATHS = golden("paths")


def _paths(radius):
    flat, lengths = PATHS[f"r{radius}_paths_flat"], PATHS[f"r{radius}_path_length"]
    return tuple(path[:length] for path, length in zip(flat, lengths, strict=True))


@partial(jax.jit, static_argnames="radius")
def _loss(edge_logits, displacement, labels, *, radius):
    return affinity_displacement_loss(edge_logits, displacement, labels, paths=_paths(radius))


def _loop(edge_logits, displacement, labels, paths):
    """Walks every pair of a batch: the definition, one cell at a time, in float64."""
    reach = max(np.abs(path[0]).max() for path in paths)
    edge = 1 / (1 + np.exp(-edge_logits.astype(float)))
    names = ("background", "foreground", "different", "towards", "still")
    found = {name: [] for name in names}
    for image in range(len(labels)):
        for y in range(labels.shape[1] - reach):
            for x in range(reach, labels.shape[2] - reach):
                for path in paths:
                    dy, dx = path[0].astype(int)
                    a, b = labels[image, y, x], labels[image, y + dy, x + dx]
                    if 255 in (a, b):
                        continue
                    affinity = 1 - max(edge[image, y + i, x + j] for i, j in path.astype(int))
                    move = displacement[image, y, x] - displacement[image, y + dy, x + dx]
                    if a != b:
                        found["different"].append(-np.log(1 + 1e-5 - affinity))
                    elif a == 0:
                        found["background"].append(-np.log(affinity + 1e-5))
                        found["still"].append(np.abs(move).mean())
                    else:
                        found["foreground"].append(-np.log(affinity + 1e-5))
                        found["towards"].append(np.abs(move - (dy, dx)).mean())
    mean = {name: np.sum(values) / (len(values) + 1e-5) for name, values in found.items()}
    positive = (mean["background"] + mean["foreground"]) / 2
    total = (positive + mean["different"]) / 2 + (mean["towards"] + mean["still"]) / 2
    return [total, positive, mean["different"], mean["towards"], mean["still"]]


def _random_batch(key, shape, classes=3):
    keys = jax.random.split(jax.random.key(key), 3)
    labels = jax.random.randint(keys[2], shape, 0, classes + 1)
    return (
        np.array(jax.random.normal(keys[0], shape)),
        np.array(jax.random.normal(keys[1], (*shape, 2))),
        np.where(labels == classes, 255, labels).astype(np.uint8),
    )


@pytest.mark.parity("boundary")
def test_matches_golden():
    terms = _loss(
        IRN["adl_edge_logits"][0], nhwc(IRN["adl_dp"]), IRN["adl_label16"][None], radius=5
    )
    np.testing.assert_allclose([*terms[1:], terms[0]], IRN["adl_loss_terms"], rtol=1e-5)


@pytest.mark.parity("boundary")
def test_displacements_of_all_pairs_match_golden():
    """In evaluation, where a mean is taken off that differences do not show."""
    pairs = IRN["adl_dp_fg_loss"][0, 0].size
    for mode in ("", "_eval"):
        for label, kind, term in ((1, "fg", 3), (0, "bg", 4)):
            labels = np.full((1, 16, 16), label, np.uint8)
            terms = _loss(
                IRN[f"adl{mode}_edge_logits"][0], nhwc(IRN[f"adl{mode}_dp"]), labels, radius=5
            )
            if mode:
                total = IRN[f"adl_eval_dp_{kind}_loss_sum"]
            else:
                total = IRN[f"adl_dp_{kind}_loss"].sum(dtype=np.float64)
            ours = terms[term] * 2 * (pairs + 1e-5)  # a mean, over two directions
            np.testing.assert_allclose(ours, total, rtol=1e-6)


def test_sums_over_the_batch_as_a_loop_does():
    edge, displacement, labels = _random_batch(0, (2, 11, 14))
    # Photos of different content: a mean of the photos' means would differ.
    labels[1, :, 5:] = 255
    terms = _loss(edge, displacement, labels, radius=5)
    np.testing.assert_allclose(terms, _loop(edge, displacement, labels, _paths(5)), rtol=1e-5)


def test_path_maxima_match_a_loop():
    radius = 10
    x = np.array(jax.random.normal(jax.random.key(1), (2, 13, 24)))
    paths = boundary_loss._by_reach(_paths(radius))
    reach = radius - 1
    result = jax.jit(lambda x: boundary_loss.path_maxima(x, paths))(x)
    for path, maxima in zip(paths, result, strict=True):
        cells = [x[:, y : 13 - reach + y, reach + dx : 24 - reach + dx] for y, dx in path]
        np.testing.assert_array_equal(maxima, np.max(cells, axis=0))


def test_gradient_of_the_maxima_reaches_the_largest_cell():
    x = np.array(jax.random.normal(jax.random.key(1), (1, 6, 11)))
    paths = boundary_loss._by_reach(_paths(5))
    weights = np.array(jax.random.normal(jax.random.key(2), (len(paths), 1, 2, 3)))
    grad = jax.jit(jax.grad(lambda x: (boundary_loss.path_maxima(x, paths) * weights).sum()))(x)
    wanted = np.zeros_like(x)
    for path, weight in zip(paths, weights, strict=True):
        for (y, column), value in np.ndenumerate(weight[0]):
            cells = [(0, y + dy, column + 4 + dx) for dy, dx in path]
            wanted[max(cells, key=lambda cell: x[cell])] += value
    np.testing.assert_allclose(grad, wanted, atol=1e-5)


def test_unlabelled_pairs_count_nothing():
    edge, displacement, labels = _random_batch(0, (1, 8, 12))
    labels = np.full_like(labels, 255)

    def total(edge, displacement):
        return affinity_displacement_loss(edge, displacement, labels, paths=_paths(5)).total

    value, grads = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(edge, displacement)
    assert value == 0 and all((g == 0).all() for g in grads)


def test_saturated_edges_stay_finite():
    _, displacement, labels = _random_batch(0, (1, 8, 12))
    edge = jnp.where(jax.random.bernoulli(jax.random.key(3), 0.5, (1, 8, 12)), 200.0, -200.0)

    def total(edge):
        return affinity_displacement_loss(edge, displacement, labels, paths=_paths(5)).total

    value, grad = jax.jit(jax.value_and_grad(total))(edge)
    assert np.isfinite(value) and np.isfinite(grad).all()
