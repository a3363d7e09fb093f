"""The programs of `make tpu-check` can be built and lowered; compiling them is its own part."""

import jax
import pytest

from experiments import tpu_programs


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in tpu_programs.PROGRAMS if "8 chips" not in n])
def test_a_program_lowers_from_shapes_alone(name, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    program = tpu_programs.PROGRAMS[name]({1: jax.devices()[:1]})
    assert program.photos >= 1
    text = program.jitted.lower(*program.arguments).as_text()
    assert "stablehlo" in text


def test_there_is_a_program_for_every_stage():
    words = " ".join(tpu_programs.PROGRAMS)
    for stage in ("classifier", "CAMs", "boundary", "label", "CRF", "segmenter", "masks"):
        assert stage in words
