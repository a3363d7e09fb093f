"""Errors that users meet are lines of bounded length, whatever a file holds."""

import pickle

import pytest

from wsgcn_jax.types import DataError, printable


@pytest.mark.fault(
    "control characters in anything that an error quotes",
    "printed as text",
    section="Untrusted files",
)
def test_text_of_errors_is_safe_to_print():
    error = DataError("photo a\r\nb\x1b[31m\u2028\u202e\udce9.jpg is missing")
    assert str(error) == r"photo a\r\nb\x1b[31m\u2028\u202e\udce9.jpg is missing"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    several = DataError("2 settings:", "a\nb", "x" * 2000)
    first, second, third = str(several).split("\n")
    assert (first, second) == ("2 settings:", r"  a\nb") and len(third) < 1100
    assert str(pickle.loads(pickle.dumps(several))) == str(several)
    assert printable("caf\u00e9 \u732b.jpg") == "caf\u00e9 \u732b.jpg"


@pytest.mark.fault(
    "endless text in anything that an error quotes",
    "its middle is left out",
    section="Untrusted files",
)
def test_text_of_errors_is_bounded():
    text = str(DataError("begin " + "x" * 10**6 + " end; do this."))
    assert len(text) < 1100 and text.startswith("begin xxx") and text.endswith("xxx end; do this.")
