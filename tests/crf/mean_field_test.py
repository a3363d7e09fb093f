"""The exact dense CRF against the golden exact answers (golden/crf.npz)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wsgcn_jax.crf.mean_field import label_unary, mean_field

GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = {
    "gcn": ((3.0, 3.0), (50.0, 5.0, 3.0)),
    "utils": ((4.0, 3.0), (20.0, 3.0, 10.0)),
    "imutils": ((3.0, 3.0), (50.0, 5.0, 10.0)),
    "deeplab": ((1.0, 3.0), (67.0, 3.0, 4.0)),
}


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "crf.npz")


@pytest.mark.parametrize("tag", SETTINGS)
@pytest.mark.parity("CRF")
def test_meets_the_exact_golden_answer(golden, tag):
    gaussian, bilateral = SETTINGS[tag]
    unary = golden[f"s_{tag}_unary"].reshape(3, 24, 32)
    q = mean_field(jnp.asarray(unary), golden["s_image"], gaussian=gaussian, bilateral=bilateral)
    np.testing.assert_allclose(q, golden[f"s_{tag}_exact_Q"], atol=1e-4)


@pytest.mark.parity("CRF")
def test_label_unary_meets_golden(golden):
    ours = label_unary(jnp.asarray(golden["s_imutils_in_label"], jnp.int32), 3)
    np.testing.assert_allclose(ours, golden["s_imutils_unary"].reshape(3, 24, 32), atol=1e-6)


def test_padding_changes_no_real_cell():
    unary = jax.random.uniform(jax.random.key(0), (3, 6, 7))
    image = jax.random.uniform(jax.random.key(1), (6, 7, 3)) * 255
    alone = mean_field(unary, image)
    valid = jnp.zeros((8, 9), bool).at[:6, :7].set(True)
    padded = mean_field(
        jnp.full((3, 8, 9), 2.0).at[:, :6, :7].set(unary),
        jnp.full((8, 9, 3), 99.0).at[:6, :7].set(image),
        valid=valid,
    )
    np.testing.assert_allclose(padded[:, :6, :7], alone, atol=1e-5)
    np.testing.assert_allclose(padded.sum(0), 1, atol=1e-5)
