"""The dense CRF against the golden exact answers and pydensecrf's (golden/crf.npz)."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.crf import (
    BOUNDARY_LABELS,
    DEEPLAB,
    GCN_SCORES,
    PARTIAL_LABELS,
    label_unary,
    lattice,
    refine,
)
from wsgcn_jax.crf.mean_field import mean_field, resolve_kernel
from wsgcn_jax.crf.simplex import find_corners, packing
from wsgcn_jax.seeds import partial_labels

GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = {
    "gcn": GCN_SCORES,
    "utils": PARTIAL_LABELS,
    "imutils": BOUNDARY_LABELS,
    "deeplab": DEEPLAB,
}
# Cases "s" are 24 x 32, "l" 90 x 120.
CASES = [pytest.param(c, t, marks=[pytest.mark.slow] * (c == "l")) for c in "sl" for t in SETTINGS]
# Each setting compiles a lattice of its own.
LATTICE_CASES = [
    pytest.param(c, t, marks=[pytest.mark.slow] * (c == "l" or t != "gcn"))
    for c in "sl"
    for t in SETTINGS
]


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "crf.npz")


def refined(golden, case, tag, kernel):
    name = "prob_normalised" if tag == "deeplab" else "prob"
    image, scores = golden[f"{case}_image"], golden[f"{case}_{name}"]
    return np.asarray(refine(image, scores, SETTINGS[tag], kernel=kernel))


def distance(a, b):
    """Mean absolute difference, and the share of pixels whose best labels differ."""
    return float(np.abs(a - b).mean()), float((a.argmax(0) != b.argmax(0)).mean())


@pytest.mark.parametrize("tag", SETTINGS)
@pytest.mark.parity("CRF")
def test_unary_is_the_golden_one(golden, tag):
    name = "s_prob_normalised" if tag == "deeplab" else "s_prob"
    ours = SETTINGS[tag].unary(jnp.asarray(golden[name]), jnp.ones(3, bool))
    np.testing.assert_allclose(ours, golden[f"s_{tag}_unary"].reshape(3, 24, 32), atol=2e-6)


@pytest.mark.parity("CRF")
def test_label_unary_meets_golden(golden):
    ours = label_unary(jnp.asarray(golden["s_imutils_in_label"], jnp.int32), 3)
    np.testing.assert_allclose(ours, golden["s_imutils_unary"].reshape(3, 24, 32), atol=1e-6)


@pytest.mark.parametrize("kernel", ["exact", "attention"])
@pytest.mark.parametrize(("case", "tag"), CASES)
@pytest.mark.parity("CRF")
def test_all_pairs_meet_the_exact_golden_answer(golden, case, tag, kernel):
    q = refined(golden, case, tag, kernel)
    np.testing.assert_allclose(q, golden[f"{case}_{tag}_exact_Q"], atol=1e-4)


@pytest.mark.parametrize(("case", "tag"), LATTICE_CASES)
@pytest.mark.parity("CRF")
def test_lattice_is_pydensecrfs(golden, case, tag):
    q = refined(golden, case, tag, "lattice")
    theirs, exact = golden[f"{case}_{tag}_Q"], golden[f"{case}_{tag}_exact_Q"]
    mean_to_theirs, disagreement = distance(q, theirs)
    np.testing.assert_array_less(mean_to_theirs, 0.01)
    np.testing.assert_array_less(disagreement, 0.015)
    # No farther from the exact answer than they, but for one pixel either way.
    mean_to_exact, disagreement_with_exact = distance(q, exact)
    their_mean, their_disagreement = distance(theirs, exact)
    np.testing.assert_array_less(mean_to_exact, their_mean + 2e-4)
    np.testing.assert_array_less(disagreement_with_exact, their_disagreement + 1.01 / q[0].size)


@pytest.mark.parametrize("kernel", ["exact", "attention"])
@pytest.mark.parametrize("prefix", ["", pytest.param("b_", marks=pytest.mark.slow)])
@pytest.mark.parity("CRF")
def test_partial_labels_refined_exactly_are_the_golden_ones(prefix, kernel):
    golden = np.load(GOLDEN / "partial_labels.npz")
    cams, answers = jnp.asarray(golden[f"{prefix}cams"]), []

    def crf(scores):
        image = golden[f"{prefix}image_bgr"]
        answers.append(refine(image, scores, PARTIAL_LABELS, kernel=kernel))
        return answers[-1]

    seeds = partial_labels(cams, jnp.ones(len(cams), bool), refine=crf)
    np.testing.assert_allclose(answers[0], golden[f"{prefix}exact_alpha4"], atol=1e-4)
    np.testing.assert_allclose(answers[1], golden[f"{prefix}exact_alpha32"], atol=1e-4)
    np.testing.assert_allclose(seeds.scores, golden[f"{prefix}exact_crf_label_np"], atol=1e-4)
    labels = np.asarray(seeds.labels)
    sure = labels != 255
    ids = golden[f"{prefix}class_rows"][np.where(sure, labels, 0)]
    np.testing.assert_array_equal(np.where(sure, ids, 255), golden[f"{prefix}exact_vote"])


@pytest.mark.parametrize("prefix", ["", "b_"])
@pytest.mark.slow
@pytest.mark.parity("CRF")
def test_partial_labels_on_the_lattice_are_pydensecrfs(prefix):
    golden = np.load(GOLDEN / "partial_labels.npz")
    cams = golden[f"{prefix}cams"]
    for exponent in (4, 32):
        scores = np.concatenate([(1 - cams.max(0, keepdims=True)) ** exponent, cams])
        q = np.asarray(refine(golden[f"{prefix}image_bgr"], scores, PARTIAL_LABELS))
        theirs = golden[f"{prefix}crf_alpha{exponent}"]
        exact = golden[f"{prefix}exact_alpha{exponent}"]
        mean_to_theirs, disagreement = distance(q, theirs)
        np.testing.assert_array_less(mean_to_theirs, 0.01)
        np.testing.assert_array_less(disagreement, 0.015)
        # Scenario b: 0.0110 and 0.0105 where pydensecrf has 0.0107 and 0.0107.
        mean_to_exact = distance(q, exact)[0]
        np.testing.assert_array_less(mean_to_exact, distance(theirs, exact)[0] + 5e-4)


# Properties. Few shapes, since each is compiled anew.

_SHAPE = (12, 17)


def photo(seed, shape=_SHAPE, classes=3):
    """Two halves of unlike colour with noise, and probabilities that hardly know it."""
    keys = jax.random.split(jax.random.key(seed), 2)
    left = (jnp.arange(shape[1]) < shape[1] // 2)[None, :, None]
    image = jnp.where(left, 60.0, 150.0) + 8.0 * jax.random.normal(keys[0], (*shape, 3))
    scores = jax.random.normal(keys[1], (classes, *shape))
    scores = scores.at[0].add(jnp.where(left[..., 0], 0.5, -0.5))
    return image, jax.nn.softmax(scores, axis=0)


@pytest.mark.parametrize("kernel", ["exact", "attention", "sampled", "lattice"])
def test_padding_changes_no_real_pixel(kernel):
    image, scores = photo(0)
    alone = refine(image, scores, kernel=kernel)
    height, width = _SHAPE
    inside = np.s_[:height, :width]
    shape = (height + 3, width + 5)
    valid = jnp.zeros(shape, bool).at[inside].set(True)
    padded = refine(
        jnp.full((*shape, 3), 99.0).at[inside].set(image),
        jnp.full((3, *shape), 0.2).at[:, :height, :width].set(scores),
        valid=valid,
        kernel=kernel,
    )
    np.testing.assert_allclose(padded[:, :height, :width], alone, atol=1e-5)
    np.testing.assert_allclose(padded.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "batched"),
    [
        ("lattice", lambda refine: refine),
        pytest.param("lattice", jax.vmap, marks=pytest.mark.slow),
        ("attention", lambda refine: refine),
        ("attention", jax.vmap),
        ("sampled", lambda refine: refine),
    ],
    ids=["lattice-map", "lattice-vmap", "attention-map", "attention-vmap", "sampled-map"],
)
def test_a_batch_is_its_photos(kernel, batched):
    one = partial(refine, kernel=kernel)
    batch = [photo(seed) for seed in range(3)]
    together = batched(one)(*(jnp.stack(arrays) for arrays in zip(*batch, strict=True)))
    for i, (image, scores) in enumerate(batch):
        # Ten updates magnify the rounding of sums taken in another order.
        np.testing.assert_allclose(together[i], one(image, scores), atol=1e-4)


@pytest.mark.parametrize("kernel", ["exact", "attention", "sampled"])
def test_several_score_maps_share_a_photo(kernel):
    image, scores = photo(8)
    maps = jnp.stack([scores, scores[::-1], scores[jnp.array([1, 2, 0])]])
    together = refine(image, maps, kernel=kernel)
    for i, one in enumerate(maps):
        np.testing.assert_allclose(together[i], refine(image, one, kernel=kernel), atol=1e-4)


@pytest.mark.parametrize("kernel", ["exact", "sampled"])
def test_probabilities_may_have_half_precision(kernel):
    image, scores = photo(11)
    half = scores.astype(jnp.float16)
    found = refine(image, half, kernel=kernel)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, refine(image, half.astype(jnp.float32), kernel=kernel))


def test_attention_is_the_exact_kernel_compiled_or_not():
    image, scores = photo(9)
    exact, attention = (refine(image, scores, kernel=kernel) for kernel in ("exact", "attention"))
    np.testing.assert_allclose(attention, exact, atol=2e-5)
    with jax.disable_jit():
        eager = refine(image, scores, kernel="attention", iterations=2)
    compiled = refine(image, scores, kernel="attention", iterations=2)
    np.testing.assert_allclose(eager, compiled, atol=1e-5)


def test_samples_hear_samples_alone_and_all_cells_hear_them():
    # In double precision: the kernels as matrices from every second cell of every second row.
    image, scores = (np.asarray(one, float) for one in photo(10))
    y, x = np.mgrid[: _SHAPE[0], : _SHAPE[1]]
    few = np.flatnonzero((y % 2 == 0).ravel() & (x % 2 == 0).ravel())
    sigma, weight, (sigma_xy, sigma_rgb, colour_weight) = 2.0, 1.5, (9.0, 25.0, 2.5)

    def kernel(*points):
        matrix = np.exp(-0.5 * sum((p.ravel()[:, None] - p.ravel()[few]) ** 2 for p in points))
        norm = matrix.sum(axis=1) ** -0.5
        return norm[:, None] * matrix * norm[few]

    places = [y / sigma_xy, x / sigma_xy]
    colours = [image[..., i] / sigma_rgb for i in range(3)]
    both = weight * kernel(y / sigma, x / sigma) + colour_weight * kernel(*places, *colours)
    unary = -np.log(scores.reshape(3, -1))

    def softmax(energy):
        return np.exp(-energy) / np.exp(-energy).sum(axis=0)

    q = softmax(unary)
    for _ in range(4):
        q = softmax(unary - q[:, few] @ both.T)
    ours = mean_field(
        jnp.asarray(unary.reshape(scores.shape), jnp.float32),
        jnp.asarray(image, jnp.float32),
        gaussian=(sigma, weight),
        bilateral=(sigma_xy, sigma_rgb, colour_weight),
        iterations=4,
        kernel="sampled",
    )
    np.testing.assert_allclose(ours.reshape(3, -1), q, atol=1e-5)
    none = mean_field(jnp.asarray(-np.log(scores)), image, iterations=0, kernel="sampled")
    np.testing.assert_allclose(none, scores, atol=1e-6)


def test_attentions_gradient_is_that_of_the_exact_kernel():
    image, scores = photo(4)
    weights = jax.random.normal(jax.random.key(9), scores.shape)

    @partial(jax.jit, static_argnames="kernel")
    @jax.grad
    def gradient(unary, kernel):
        q = mean_field(unary, image, bilateral=(30.0, 20.0, 2.0), iterations=3, kernel=kernel)
        return (weights * q).sum()

    ours, expected = (gradient(-jnp.log(scores), kernel) for kernel in ("attention", "exact"))
    assert float(jnp.abs(expected).max()) > 0.01
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_backend_chooses(monkeypatch):
    chosen = []
    for backend in ("cpu", "gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        chosen.append(resolve_kernel(None))
    assert chosen == ["lattice", "lattice", "sampled"]
    assert resolve_kernel(None, coarse=True) == "attention"
    assert resolve_kernel("exact") == resolve_kernel("exact", coarse=True) == "exact"


def test_flips_move_the_result_no_more_than_the_lattice_errs():
    image, scores = photo(1)
    flip = np.s_[:, ::-1, ::-1]
    there, back = refine(image, scores), refine(image[::-1, ::-1], scores[flip])[flip]
    assert 0 < distance(np.asarray(there), np.asarray(back))[0] < 0.02
    exact = partial(refine, kernel="exact")
    back = exact(image[::-1, ::-1], scores[flip])[flip]
    np.testing.assert_allclose(exact(image, scores), back, atol=1e-4)


def test_it_follows_the_photo():
    image, scores = photo(2)
    left = np.arange(_SHAPE[1]) < _SHAPE[1] // 2
    q = np.asarray(refine(image, scores))
    np.testing.assert_allclose(q.sum(0), 1, atol=1e-5)
    truth = np.broadcast_to(left, _SHAPE)
    before = ((np.asarray(scores).argmax(0) == 0) == truth).mean()
    assert ((q.argmax(0) == 0) == truth).mean() > before + 0.2


def test_absent_classes_end_at_zero_and_change_nothing():
    image, scores = photo(3)
    for settings in (GCN_SCORES, BOUNDARY_LABELS):
        wide = jnp.concatenate([scores, jnp.full_like(scores[:1], 0.9)])
        present = jnp.array([True, True, True, False])
        q = refine(image, wide, settings, present=present, kernel="exact")
        assert float(q[3].max()) == 0.0
        alone = refine(image, scores, settings, kernel="exact")
        np.testing.assert_allclose(q[:3], alone, atol=1e-5)


def test_gradient_is_the_numerical_one():
    image, scores = photo(4)
    weights = jax.random.normal(jax.random.key(9), scores.shape)
    settings = DEEPLAB._replace(bilateral=(30.0, 20.0, 2.0))
    unary = -jnp.log(scores)

    @jax.jit
    @jax.value_and_grad
    def loss(u):
        # exp(-u) stays inside the bounds that the unary is clipped to.
        return (weights * refine(image, jnp.exp(-u), settings, iterations=3)).sum()

    gradient = loss(unary)[1]
    assert bool(jnp.isfinite(gradient).all()) and float(jnp.abs(gradient).max()) > 0.01
    direction = jax.random.normal(jax.random.key(10), scores.shape)
    step = 1e-2
    up, down = loss(unary + step * direction)[0], loss(unary - step * direction)[0]
    expected = (gradient * direction).sum()
    np.testing.assert_allclose((up - down) / (2 * step), expected, rtol=0.02)


@pytest.mark.parametrize(
    "kernel", ["exact", "attention", pytest.param("lattice", marks=pytest.mark.slow)]
)
def test_a_constant_photo_is_smoothed_by_gaussians_alone(kernel):
    # One colour: the bilateral kernel is a wide Gaussian of place.
    _, scores = photo(5)
    image = jnp.full((*_SHAPE, 3), 77.0)
    bilateral = DEEPLAB._replace(gaussian=(1.0, 0.0), bilateral=(4.0, 5.0, 1.0))
    gaussian = DEEPLAB._replace(gaussian=(4.0, 0.5), bilateral=(4.0, 5.0, 0.5))
    q = np.asarray(refine(image, scores, bilateral, kernel=kernel))
    expected = np.asarray(refine(image, scores, gaussian, kernel="exact"))
    if kernel != "lattice":
        np.testing.assert_allclose(q, expected, atol=1e-4)
    else:
        assert distance(q, expected)[0] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 255.0])
def test_tables_are_as_large_as_the_photo_needs(monkeypatch, noise):
    # Of noise every pixel has vertices of its own, more than all but the largest tables hold.
    image, scores = photo(7)
    image = noise * jax.random.uniform(jax.random.key(7), image.shape)
    unary = -jnp.log(scores)
    expected = jax.jit(mean_field)(unary, image)
    monkeypatch.setattr(lattice, "_SMALL", 0)
    packed = packing(_SHAPE, 50.0, 5.0)
    corners = find_corners(image, jnp.ones(_SHAPE, bool), 50.0, 5.0, packed)
    sizes = lattice.table_sizes(image[..., 0].size)
    choice = int(lattice.choose_size(corners, image[..., 0].size))
    assert choice == (len(sizes) - 1 if noise else 0)
    assert int(corners.total) <= sizes[choice][0]
    q = jax.jit(partial(mean_field, iterations=10))(unary, image)
    np.testing.assert_allclose(q, expected, atol=1e-5)


def test_bad_input_is_refused():
    image, scores = photo(6)
    with pytest.raises(ValueError, match="should be"):
        refine(image[1:], scores)
    with pytest.raises(ValueError, match="none of lattice, attention, sampled, exact"):
        refine(image, scores, kernel="fast")
    with pytest.raises(ValueError, match="too fine"):
        mean_field(scores, image, bilateral=(0.1, 0.1, 1.0))
