"""Networks are compared with numbers of full precision, so they compute in it here."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _full_precision():
    with jax.default_matmul_precision("highest"):
        yield
