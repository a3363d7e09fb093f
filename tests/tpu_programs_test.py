"""The programs of `make tpu-check` can be built and lowered; compiling them is its own part."""

import jax
import pytest

from experiments import tpu_check, tpu_programs


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


def test_figures_are_of_one_photo_and_the_line_says_what_is_missing():
    text = (
        "ENTRY %main (a: f32[4096,1024], b: f32[1024,1024]) -> f32[4096,1024] {\n"
        "  %a = f32[4096,1024]{1,0:T(8,128)} parameter(0)\n"
        "  %b = f32[1024,1024]{1,0:T(8,128)S(1)} parameter(1)\n"
        "  %sent = f32[4096,1024]{1,0:T(8,128)} all-reduce-start(%a), to_apply=%sum\n"
        "  ROOT %c = f32[4096,1024]{1,0:T(8,128)} dot(%a, %b), lhs_contracting_dims={1}, "
        'backend_config={"estimated_cycles":"3000000"}\n'
        "}\n"
    )
    figures = tpu_check._costs(text, 4)
    assert figures["gflop_per_photo"] == round(2 * 1024**3 / 1e9, 1)
    assert figures["reckoned_ms_per_photo"] == 0.5
    assert figures["collectives"] == {"all-reduce": 1}
    known = dict.fromkeys(("compile_seconds", "compile_cpu_seconds", "lower_seconds"), 1)
    known |= dict.fromkeys(("hbm_mb", "code_mb", "temporary_mb_per_photo"), 2)
    line = tpu_check._line("label", {**known, **figures, "fits": False, "loops_counted_once": 3})
    assert "DO NOT FIT" in line
    assert "3 loops of unknown length" in line
