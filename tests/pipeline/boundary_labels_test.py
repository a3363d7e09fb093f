import numpy as np
import pytest

from configs import default
from wsgcn_jax.crf import BOUNDARY_LABELS, refine
from wsgcn_jax.pipeline.boundary_labels import boundary_crf, boundary_labels

_CLASS_IDS = np.array([8, 15], np.uint8)


@pytest.fixture(scope="module")
def photo():
    """A bright square on the dark, `[36, 44, 3] u8`, and CAMs that do not end with it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 8, (36, 44, 3))
    image[8:28, 12:32] += 200
    y, x = np.mgrid[:9, :11]
    away = np.hypot(y - 4, x - 5).astype(np.float32)
    return image.astype(np.uint8), np.stack([np.clip(1 - away / 5, 0, 1), 0 * away])


def labels(photo, **crf):
    config = default.get_config()
    config.crf.update(ir_labels=True, **crf)
    crf = boundary_crf([photo[0].shape[:2]], config.crf)
    return boundary_labels(*photo, _CLASS_IDS, config.boundary, config.crf, crf)


def test_published_labels_are_two_readings_refined_at_full_size(photo):
    image, cam = photo
    # Of CAMs of the photo's own size, nothing is left to resize.
    full = np.kron(cam, np.ones((4, 4), np.float32))
    readings = [np.concatenate([np.full_like(full[:1], level), full]) for level in (0.30, 0.05)]
    sure, loose = (np.asarray(refine(image, r, BOUNDARY_LABELS)).argmax(axis=0) for r in readings)
    ids = np.array([0, 8, 15])
    expected = np.where(sure > 0, ids[sure], np.where(loose > 0, 255, 0))
    np.testing.assert_array_equal(labels((image, full), kernel="lattice"), expected)


def test_either_way_finds_the_object(photo):
    for crf in ({"kernel": "lattice"}, {"kernel": "exact", "longer_side": 44}):
        found = labels(photo, **crf)
        assert found.shape == (36, 44)
        assert (found[10:26, 14:30] == 8).all()
        assert (found[:4] != 8).all()


def test_a_photo_without_any_class_is_background(photo):
    config, image = default.get_config(), photo[0]
    none, ids = np.zeros((0, 9, 11), np.float32), np.zeros(0, np.uint8)
    crf = boundary_crf([], config.crf)
    found = boundary_labels(image, none, ids, config.boundary, config.crf, crf)
    assert found.shape == (36, 44) and not found.any()
