"""The GCN fit against the published numbers (golden/gcn.npz) and its own invariances."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.gcn.fit import fit_ensemble, fit_gcn
from wsgcn_jax.gcn.losses import gcn_losses
from wsgcn_jax.gcn.model import GCNParams, apply_gcn, dropout_mask, init_gcn
from wsgcn_jax.graph.affinity import affinity_graph, affinity_stencil
from wsgcn_jax.graph.fast_walk import fast_walk
from wsgcn_jax.graph.laplacian import laplacian_energy, laplacian_stencil
from wsgcn_jax.graph.walk import aggregate, dense_walk, gcn_adjacency, sparse_walk
from wsgcn_jax.positions import node_positions

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("gc1.weight", "gc1.bias", "gc2.weight", "gc2.bias")


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "gcn.npz")


def _golden_product(golden):
    adjacency = jnp.asarray(golden["adj"], jnp.float64)
    return lambda x: x @ adjacency.T


def _fit64(golden, aggregate, *, labels=None, laplacian=None, epochs=250, **options):
    """A float64 fit from the golden start, without dropout."""
    matrix = jnp.asarray(golden["L"])
    features = jnp.asarray(golden["features"].T, jnp.float64)
    labels = jnp.asarray(golden["labels"] if labels is None else labels, jnp.int32)
    init = GCNParams(*(jnp.asarray(golden[f"init_{n}"], jnp.float64) for n in NAMES))
    return fit_gcn(
        jax.random.key(0),
        aggregate,
        features,
        labels,
        jnp.ones(labels.shape, bool),
        node_positions(20, 28),
        laplacian or (lambda z: jnp.sum(z * (z @ matrix))),
        classes=21,
        epochs=epochs,
        dropout=0.0,
        init=init,
        **options,
    )


@pytest.mark.parametrize(
    ("tag", "weights"),
    [
        ("full", {}),
        ("ce", {"entropy_weight": 0.0, "laplacian_weight": 0.0}),
        ("ent_only", {"laplacian_weight": 0.0}),
        ("lap_only", {"entropy_weight": 0.0}),
    ],
)
@pytest.mark.parity("GCN")
def test_float64_fit_meets_the_float64_golden(golden, tag, weights):
    with jax.enable_x64(True):
        fit = _fit64(golden, _golden_product(golden), **weights)
        np.testing.assert_allclose(
            fit.log_probs.T,
            golden[f"{tag}_f64_out" if tag != "full" else "full_out_f64"],
            atol=1e-6,
        )
        if tag == "full":
            for name, ours in zip(NAMES, fit.params, strict=True):
                np.testing.assert_allclose(ours, golden[f"full_f64_w250_{name}"], atol=1e-6)
            for term, ours in fit.losses._asdict().items():
                short = {"foreground": "_fg", "background": "_bg", "entropy": "_ent"}
                short |= {"laplacian": "_lap", "total": ""}
                np.testing.assert_allclose(
                    ours, golden[f"full_f64_loss{short[term]}"], rtol=1e-6, atol=1e-9
                )


def _exact_adjacency():
    """The golden graph's adjacency by NumPy, in float64 throughout."""
    walk = np.load(GOLDEN / "affinity.npz")["dense_affinity"].astype(np.float64) ** 10
    walk = np.linalg.matrix_power(walk / walk.sum(axis=0), 256)
    matrix = np.maximum(walk, walk.T) + np.eye(len(walk))
    return jnp.asarray(matrix / matrix.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def exact_fit(golden):
    """What the golden fit, whose adjacency was squared in float32, would have been without that."""
    with jax.enable_x64(True):
        adjacency = _exact_adjacency()
        return _fit64(golden, lambda x: x @ adjacency.T)


@pytest.mark.parametrize("make", ["dense", "sparse", "fast"])
def test_fits_on_every_walk_and_the_stencil_meet_the_float64_fit(golden, exact_fit, make):
    edge = np.load(GOLDEN / "affinity.npz")["edge"]
    with jax.enable_x64(True):
        edge = jnp.asarray(edge, jnp.float64)
        if make == "fast":
            walk = fast_walk(affinity_stencil(edge), basis=edge.size)
        else:
            walk = {"dense": dense_walk, "sparse": sparse_walk}[make](affinity_graph(edge))
        adjacency = gcn_adjacency(walk)
        weights = laplacian_stencil(jnp.asarray(golden["rgbxy"][..., :3], jnp.float64))
        fit = _fit64(
            golden,
            partial(aggregate, adjacency),
            laplacian=lambda z: laplacian_energy(weights, z.reshape(21, 20, 28)),
        )
    # The edge map is float32, and 1 - edge was rounded to it in the golden affinities.
    np.testing.assert_allclose(fit.log_probs, exact_fit.log_probs, atol=1e-4)


@pytest.mark.parametrize("case", ["nofg", "nobg", "none", "all"])
@pytest.mark.parity("GCN")
def test_empty_label_sets_drop_their_term(golden, case):
    with jax.enable_x64(True):
        labels = golden[f"edgecase_{case}_labels"]
        fit = _fit64(golden, _golden_product(golden), labels=labels, epochs=3)
    # The golden run is float32: its own noise after three steps is about 1e-5.
    np.testing.assert_allclose(fit.log_probs.T, golden[f"edgecase_{case}_out_after3"], atol=5e-5)
    rows = golden[f"edgecase_{case}_losses"]
    for ours, theirs in zip(fit.losses[:4], rows[:4], strict=True):
        np.testing.assert_allclose(ours, np.nan_to_num(theirs), rtol=1e-4, atol=1e-5)


@pytest.mark.parity("GCN")
def test_first_output_and_gradients_meet_the_golden(golden):
    matrix = golden["L"]
    with jax.enable_x64(True):
        aggregate = _golden_product(golden)
        propagated = aggregate(jnp.asarray(golden["features"].T, jnp.float64))
        params = GCNParams(*(jnp.asarray(golden[f"init_{n}"], jnp.float64) for n in NAMES))
        labels, valid = jnp.asarray(golden["labels"], jnp.int32), jnp.ones(560, bool)

        def total(params):
            z = apply_gcn(params, aggregate, propagated)
            return gcn_losses(z, labels, valid, lambda z: jnp.sum(z * (z @ matrix))).total, z

        grads, log_probs = jax.grad(total, has_aux=True)(params)
    np.testing.assert_allclose(log_probs.T, golden["output_epoch0"], atol=2e-6)  # float32
    for name, ours in zip(NAMES, grads, strict=True):
        np.testing.assert_allclose(ours, golden[f"grad_epoch0_f64_{name}"], atol=1e-11)


@pytest.mark.parity("GCN")
def test_dropout_fits_are_spread_like_the_golden_ones(golden):
    """Other starts and other dropout than the reference's, so only their statistics compare."""
    adjacency, matrix = jnp.asarray(golden["adj"]), jnp.asarray(golden["L"], jnp.float32)
    features, seeds = jnp.asarray(golden["features"].T), 24

    @partial(jax.jit, static_argnames="dropout")
    @partial(jax.vmap, in_axes=(0, None))
    def fit(key, dropout):
        return fit_gcn(
            key,
            lambda x: x @ adjacency.T,
            features,
            jnp.asarray(golden["labels"], jnp.int32),
            jnp.ones(560, bool),
            node_positions(20, 28),
            lambda z: jnp.sum(z * (z @ matrix)),
            classes=21,
            dropout=dropout,
        ).log_probs

    keys = jax.random.split(jax.random.key(0), seeds)
    log_probs = np.asarray(fit(keys, 0.3))
    labels = log_probs.argmax(1)
    np.testing.assert_array_equal(labels, np.tile(golden["drop03_argmax"][:1], (seeds, 1)))
    mean = np.exp(log_probs).mean(0).T
    # Means of 8 and of 24 fits, whose largest deviation is 0.025: three standard errors.
    error = 3 * golden["drop03_std_prob"].max() * np.sqrt(1 / 8 + 1 / seeds)
    np.testing.assert_allclose(mean, golden["drop03_mean_prob"], atol=error)
    # Without dropout one golden fit of eight has two nodes of another label.
    several = golden["drop00_argmax"]
    disagreement = (np.asarray(fit(keys[:8], 0.0)).argmax(1) != several[0]).mean(1).max()
    np.testing.assert_array_less(disagreement, (several != several[0]).mean(1).max() + 1e-9)


@pytest.mark.parity("GCN")
@pytest.mark.parametrize("epochs", [1, 10])
def test_weights_on_the_way_meet_the_golden(golden, epochs):
    with jax.enable_x64(True):
        fit = _fit64(golden, _golden_product(golden), epochs=epochs)
    for name, ours in zip(NAMES, fit.params, strict=True):
        np.testing.assert_allclose(ours, golden[f"full_f64_w{epochs}_{name}"], atol=1e-8)


def _toy(key, height=6, width=7, features=5):
    n = height * width
    keys = jax.random.split(key, 3)
    weights = jax.random.uniform(keys[0], (n, n))
    adjacency = weights / weights.sum(1, keepdims=True)
    labels = jax.random.choice(keys[1], jnp.array([0, 1, 2, 255]), (n,))
    return adjacency, jax.random.normal(keys[2], (features, n)), labels


@jax.jit
def _toy_fit(key, adjacency, features, labels, valid, positions):
    return fit_gcn(
        key,
        lambda x: x @ adjacency.T,
        features,
        labels,
        valid,
        positions,
        lambda z: jnp.sum(jnp.where(valid[None, :], z, 0) ** 2),
        classes=3,
        hidden=4,
        epochs=20,
    )


def test_vmapped_fit_equals_one_by_one_and_follows_a_permutation():
    keys = jax.random.split(jax.random.key(1), 4)
    adjacency, features, labels = jax.vmap(_toy)(keys)
    valid, positions = jnp.ones((42,), bool), node_positions(6, 7)
    batched = jax.jit(jax.vmap(_toy_fit, in_axes=(0, 0, 0, 0, None, None)))
    together = batched(keys, adjacency, features, labels, valid, positions).log_probs
    for i in range(4):
        alone = _toy_fit(keys[i], adjacency[i], features[i], labels[i], valid, positions)
        np.testing.assert_allclose(together[i], alone.log_probs, atol=2e-5)
    order = jnp.array([2, 0, 3, 1])
    permuted = batched(
        keys[order], adjacency[order], features[order], labels[order], valid, positions
    )
    np.testing.assert_allclose(permuted.log_probs, together[order], atol=2e-5)


def test_padding_changes_no_real_node():
    adjacency, features, labels = _toy(jax.random.key(2))
    valid, positions = jnp.ones((42,), bool), node_positions(6, 7)
    alone = _toy_fit(jax.random.key(3), adjacency, features, labels, valid, positions)

    real = np.zeros((8, 10), bool)
    real[:6, :7] = True
    index = np.flatnonzero(real)
    wide = jnp.eye(80).at[np.ix_(index, index)].set(adjacency)
    padded = _toy_fit(
        jax.random.key(3),
        wide,
        jnp.full((5, 80), 7.0).at[:, index].set(features),  # rubbish in the padding
        jnp.zeros((80,), labels.dtype).at[index].set(labels),
        jnp.asarray(real.reshape(-1)),
        node_positions(8, 10),
    )
    np.testing.assert_allclose(padded.log_probs[:, index], alone.log_probs, atol=2e-5)


def test_dropout_mask_rate_independence_and_key():
    positions = node_positions(100, 100)
    mask = np.asarray(dropout_mask(jax.random.key(0), positions, 16, dropout=0.3))
    assert abs(mask.mean() - 0.7) < 0.005
    assert np.abs(np.corrcoef(mask) - np.eye(16)).max() < 0.05  # 1 / sqrt(10,000) = 0.01
    neighbours = np.corrcoef(mask[:, :-1].reshape(-1), mask[:, 1:].reshape(-1))[0, 1]
    assert abs(neighbours) < 0.01
    other = dropout_mask(jax.random.key(1), positions, 16, dropout=0.3)
    assert abs(np.corrcoef(mask.reshape(-1), np.asarray(other).reshape(-1))[0, 1]) < 0.01


def test_gradients_are_finite_without_any_label():
    adjacency, features, _ = _toy(jax.random.key(4))
    params = init_gcn(jax.random.key(5), 5, 4, 3)
    labels, valid = jnp.full((42,), 255), jnp.ones((42,), bool)

    def total(params):
        z = apply_gcn(params, lambda x: x @ adjacency.T, features @ adjacency.T)
        return gcn_losses(z, labels, valid, lambda z: jnp.sum(z * z)).total

    assert all(bool(jnp.isfinite(g).all()) for g in jax.grad(total)(params))


def _member(key):
    """Stands in for a fit: log-probabilities `[3, 7]` that depend on the key."""
    return jax.nn.log_softmax(3 * jax.random.normal(key, (3, 7)), axis=0)


def test_an_ensemble_averages_probabilities_the_single_fit_its_first_member():
    key = jax.random.key(3)
    np.testing.assert_array_equal(fit_ensemble(key, _member), _member(key))
    members = [_member(key), *(_member(jax.random.fold_in(key, k)) for k in (1, 2))]
    three = np.exp(fit_ensemble(key, _member, ensemble=3))
    np.testing.assert_allclose(three, np.exp(members).mean(axis=0), rtol=1e-5)


def test_foreground_odds_favour_every_object_class_alike():
    key = jax.random.key(3)
    before = np.exp(_member(key))
    after = np.exp(fit_ensemble(key, _member, foreground_odds=2.0))
    np.testing.assert_allclose(after.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(after[1:] / after[:1], 2 * before[1:] / before[:1], rtol=1e-4)
