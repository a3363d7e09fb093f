"""Partial labels against the published ones, and against a loop that follows the text."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.seeds import partial_labels, seed_quality, walk_seeds

GOLDEN = np.load(Path(__file__).parent / "golden" / "partial_labels.npz")


def spread(prefix: str) -> tuple[jax.Array, jax.Array]:
    """The golden CAMs of a few classes among all twenty; the others filled with nonsense."""
    keys, cams = GOLDEN[f"{prefix}cam_keys"], GOLDEN[f"{prefix}cams"]
    full = np.full((20, *cams.shape[1:]), 0.97, np.float32)
    full[keys] = cams
    present = np.zeros(20, bool)
    present[keys] = True
    return jnp.asarray(full), jnp.asarray(present)


def replay(prefix: str, tag: str) -> Callable[[jax.Array], jax.Array]:
    """A refinement that answers with the stored CRF results, low exponent first."""
    rows = GOLDEN[f"{prefix}class_rows"]
    names: Iterator[str] = iter(("alpha4", "alpha32"))

    def refine(scores: jax.Array) -> jax.Array:
        answer = np.full(scores.shape, 0.99, np.float32)  # absent classes must be ignored
        answer[rows] = GOLDEN[f"{prefix}{tag}{next(names)}"]
        return jnp.asarray(answer)

    return refine


@pytest.mark.parity("partial labels")
def test_unrefined_labels_are_the_published_ones() -> None:
    cams, present = spread("")
    seeds = partial_labels(cams, present)
    np.testing.assert_array_equal(seeds.labels, GOLDEN["nocrf_vote"])
    rows = GOLDEN["class_rows"]
    np.testing.assert_allclose(seeds.scores[rows], GOLDEN["nocrf_crf_label_np"], atol=1e-6)
    assert float(np.delete(np.asarray(seeds.scores), rows, axis=0).max()) == 0.0


@pytest.mark.parametrize("percent", [10, 50, 100])
@pytest.mark.parity("partial labels")
def test_confident_share_is_the_published_one(percent: int) -> None:
    seeds = partial_labels(*spread(""), confident=percent / 100)
    np.testing.assert_array_equal(seeds.labels, GOLDEN[f"nocrf_label_conf{percent:03d}"])


@pytest.mark.parametrize(
    ("prefix", "tag"), [("", "exact_"), ("", "crf_"), ("b_", "exact_"), ("b_", "crf_")]
)
@pytest.mark.parity("partial labels")
def test_refined_labels_are_the_published_ones(prefix: str, tag: str) -> None:
    seeds = partial_labels(*spread(prefix), refine=replay(prefix, tag))
    np.testing.assert_array_equal(seeds.labels, GOLDEN[f"{prefix}{tag}vote"])
    rows = GOLDEN[f"{prefix}class_rows"]
    np.testing.assert_array_equal(seeds.scores[rows], GOLDEN[f"{prefix}{tag}crf_label_np"])


def by_the_text(cams: np.ndarray, refined: dict[int, np.ndarray], confident: float) -> np.ndarray:
    """tests/golden/README.md section 6, steps 1-4 and the vote, class by class."""
    raw = np.concatenate([(1 - cams.max(0, keepdims=True)) ** 32, cams])
    la, ha, am = refined[4].argmax(0), refined[32].argmax(0), raw.argmax(0)
    label = np.where(ha == 0, 0, np.where(la == 0, 255, la))
    sure = np.zeros(la.shape, bool)
    for k in np.unique(la):
        if k == 0:
            sure |= (am == 0) & (raw[0] > 0.8)
            continue
        s = np.where(am == k, raw[k], 0)
        v = np.sort(s[s > 0.1])
        if len(v):
            sure |= s > v[int(np.floor(len(v) * (1 - confident)))]
    mixed = np.concatenate([refined[32][:1], refined[4][1:]])
    keep = sure & (mixed.max(0) >= 0.8) & (label == mixed.argmax(0))
    return np.where(keep, label, 255)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_text_where_refinement_disagrees(seed: int) -> None:
    # Random refinements contradict the CAMs, so that the vote and empty classes come into play.
    rng = np.random.default_rng(seed)
    cams = (rng.random((3, 9, 11), np.float32) ** 3 * np.array([1, 1, 0.09])[:, None, None]).astype(
        np.float32
    )
    answers = {a: rng.random((4, 9, 11), np.float32) ** 0.3 for a in (4, 32)}
    order = iter((4, 32))
    seeds = partial_labels(
        jnp.asarray(cams),
        jnp.ones(3, bool),
        confident=0.6,
        refine=lambda scores: jnp.asarray(answers[next(order)]),
    )
    expected = by_the_text(cams, answers, 0.6)
    assert 0 < (expected != 255).sum() < expected.size
    np.testing.assert_array_equal(seeds.labels, expected)


def test_background_is_not_sure_where_it_never_wins_at_the_low_exponent() -> None:
    cams, present = spread("")
    order = iter((-0.5, 1.0))  # the low-exponent refinement denies background everywhere
    seeds = partial_labels(cams, present, refine=lambda s: s.at[0].multiply(next(order)))
    labels = np.asarray(seeds.labels)
    assert not (labels == 0).any() and (labels != 255).any()


def test_padding_changes_nothing() -> None:
    cams, present = spread("b_")
    height, width = cams.shape[1:]
    padded = jnp.pad(cams, ((0, 0), (0, 7), (0, 4)), constant_values=0.9)
    valid = jnp.zeros(padded.shape[1:], bool).at[:height, :width].set(True)
    small, large = partial_labels(cams, present), partial_labels(padded, present, valid=valid)
    np.testing.assert_array_equal(large.labels[:height, :width], small.labels)
    np.testing.assert_array_equal(np.asarray(large.labels)[~np.asarray(valid)], 255)


def test_jit_and_vmap_equal_eager_one_by_one() -> None:
    cams, present = spread("b_")
    batch = jnp.stack([cams, cams[:, ::-1], cams**2])
    flags = jnp.stack([present, present, present.at[2].set(False)])
    together = jax.jit(jax.vmap(partial(partial_labels, floor=0.1)))(batch, flags)
    for i in range(3):
        alone = partial_labels(batch[i], flags[i], floor=0.1)
        np.testing.assert_array_equal(together.labels[i], alone.labels)


@pytest.mark.fault("CAMs without any evidence", "background only")
def test_no_class_or_no_evidence_gives_background_only() -> None:
    cams, present = spread("")
    for c, p in ((cams, jnp.zeros_like(present)), (jnp.zeros_like(cams), present)):
        seeds = partial_labels(c, p)
        np.testing.assert_array_equal(seeds.labels, 0)
        assert bool(jnp.isfinite(seeds.scores).all())


def test_certain_foreground_everywhere_labels_no_background() -> None:
    cams = jnp.ones((1, 6, 8))
    np.testing.assert_array_equal(partial_labels(cams, jnp.ones(1, bool)).labels, 1)
    no_padding = partial_labels(cams, jnp.ones(1, bool), valid=jnp.zeros((6, 8), bool))
    np.testing.assert_array_equal(no_padding.labels, 255)


def blurred_box(width: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """A mask `[32, 40]` whose box covers a share of the sides, and the mask blurred: a CAM."""
    mask = np.zeros((32, 40), bool)
    rows, columns = (round(n * (1 - share) / 2) for n in mask.shape)
    mask[rows:-rows, columns:-columns] = True
    kernel = np.ones(2 * width + 1) / (2 * width + 1)
    cam = mask.astype(np.float32)
    for axis in (0, 1):
        cam = np.apply_along_axis(np.convolve, axis, cam, kernel, mode="same")
    return mask, cam[None].astype(np.float32)


@pytest.mark.fault(
    "a CAM that is a blurred true mask",
    "seeds of object and of background, not all of one kind",
)
@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_perfect_cam_gives_seeds_of_both_kinds(width: int) -> None:
    """Its plateau is nobody's strongest third; all of it is the strongest."""
    mask, cam = blurred_box(width, 0.6)
    labels = np.asarray(partial_labels(jnp.asarray(cam), jnp.ones(1, bool)).labels)
    assert (labels == 1).sum() > 0.25 * mask.sum() and mask[labels == 1].all()
    assert (labels == 0).sum() > 0.3 * (~mask).sum() and not mask[labels == 0].any()


@pytest.mark.fault("boundaries through which the walk leaks", "the CAMs decide instead")
@pytest.mark.parametrize("share", [0.3, 0.6, 0.85])
def test_a_walk_that_leaked_gives_way_to_its_cams(share: float) -> None:
    mask, cam = blurred_box(2, share)
    # Nearly even, as after many steps through thin boundaries.
    walked = jnp.asarray(np.where(mask, 0.30, 0.24)[None].astype(np.float32))
    present = jnp.ones(1, bool)
    alone = np.asarray(walk_seeds(walked, present))
    assert not (alone == 0).any()
    labels = np.asarray(walk_seeds(walked, present, cams=jnp.asarray(cam)))
    assert (labels == 1).sum() > 0.5 * mask.sum() and mask[labels == 1].mean() > 0.95
    # The blur takes the box's corners.
    assert (labels == 0).sum() > 0.3 * (~mask).sum() and mask[labels == 0].mean() < 0.05


def test_a_walk_that_held_decides_alone() -> None:
    mask, _ = blurred_box(2, 0.6)
    head = np.zeros_like(mask, np.float32)
    head[12:16, 14:18], head[2:4, 2:4] = 1.0, 0.3  # a part of the object, and a false alarm
    walked = jnp.asarray(np.where(mask, 0.2, 0.02)[None].astype(np.float32))
    present = jnp.ones(1, bool)
    labels = walk_seeds(walked, present, cams=jnp.asarray(head[None]))
    np.testing.assert_array_equal(labels, walk_seeds(walked, present))
    np.testing.assert_array_equal(labels, mask)


def test_floor_turns_weak_evidence_into_background() -> None:
    cams, present = spread("")
    weak = jnp.maximum(cams, 0.15)  # a CAM that is nowhere zero: no background seed survives
    assert not (np.asarray(partial_labels(weak, present).labels) == 0).any()
    seeds = partial_labels(weak, present, floor=0.2)
    assert (np.asarray(seeds.labels) == 0).mean() > 0.2
    assert float(seeds.scores[GOLDEN["class_rows"][1:]].max()) > 0.9  # symmetrise_max back to 1


@pytest.mark.parametrize("options", [{"confident": 0.0}, {"confident": 1.1}, {"floor": 1.0}])
def test_bad_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        partial_labels(*spread(""), **options)


def test_seed_quality_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 255, 0, 1])
    labels = np.array([0, 0, 1, 1, 0, 1, 2, 0, 255, 255])
    quality = seed_quality(labels, truth)
    np.testing.assert_allclose(quality, [3 / 9, 2 / 3, 4 / 9, 2 / 4])
    assert seed_quality(np.full(4, 255), np.full(4, 255)) == (0, 0, 0, 0)


def _otsu_by_hand(values):
    """The threshold with the largest variance between the sides, tried one by one."""

    def apart(t):
        low, high = values[values < t], values[values >= t]
        if not low.size or not high.size:
            return 0.0
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    return max((i / 64 for i in range(1, 64)), key=apart)


def test_walk_seeds_keep_away_from_the_photos_own_threshold():
    rng = np.random.default_rng(0)
    walked = np.zeros((3, 20, 24), np.float32)
    walked[1] = rng.beta(2, 8, (20, 24))
    walked[1, 5:12, 4:15] = rng.beta(8, 3, (7, 11))
    walked[2, 14:, 16:] = rng.beta(8, 3, (6, 8)) * 0.9
    present = np.array([False, True, True])
    labels = np.asarray(jax.jit(walk_seeds)(7 * walked, present))
    value = walked.max(0) / walked.max()
    t = _otsu_by_hand(value)
    expected = np.where(value > t + 0.3 * (1 - t), walked.argmax(0) + 1, 255)
    expected = np.where(value < 0.7 * t, 0, expected)
    np.testing.assert_array_equal(labels, expected)
    assert {0, 2, 3, 255} == set(np.unique(labels))


@pytest.mark.parametrize("low", [0.0, 0.05, 0.2, 0.35])
def test_two_values_are_parted_in_their_middle(low):
    """Between them every threshold does as well: the lowest would leave no background."""
    walked = np.full((1, 20, 24), low, np.float32)
    walked[0, 5:15, 4:14] = 1.0
    labels = np.asarray(walk_seeds(walked, np.ones(1, bool)))
    np.testing.assert_array_equal(labels, walked[0] == 1)


def test_walk_seeds_ignore_padding_absent_classes_and_empty_maps():
    rng = np.random.default_rng(1)
    walked = rng.random((2, 12, 10)).astype(np.float32)
    present = np.array([True, False])
    alone = np.asarray(walk_seeds(walked, present))
    assert 2 not in alone
    wide = np.full((2, 16, 16), 9.0, np.float32)
    wide[:, :12, :10] = walked
    valid = np.zeros((16, 16), bool)
    valid[:12, :10] = True
    padded = np.asarray(walk_seeds(wide, present, valid=valid))
    np.testing.assert_array_equal(padded[:12, :10], alone)
    assert (padded[~valid] == 255).all()
    assert (np.asarray(walk_seeds(walked, np.zeros(2, bool))) == 0).all()
    with pytest.raises(ValueError, match="margin"):
        walk_seeds(walked, present, margin=1.0)
