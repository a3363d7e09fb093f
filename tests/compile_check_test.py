"""The programs of `make tpu-check` and `gpu-check` can be built and lowered.

Compiling them is their own part.
"""

import os

import jax
import pytest

from experiments import compile_check, gpu_check, tpu_check
from experiments.compiled_programs import PROGRAMS, Target


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["tpu", "gpu"])
@pytest.mark.parametrize("name", [n for n in PROGRAMS if "8 chips" not in n])
def test_a_program_lowers_from_shapes_alone(name, machine, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: machine)
    program = PROGRAMS[name](Target(machine, {1: jax.devices()[:1]}))
    assert program.photos >= 1
    text = program.jitted.lower(*program.arguments).as_text()
    assert "stablehlo" in text


def test_there_is_a_program_for_every_stage():
    words = " ".join(PROGRAMS)
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
    figures = compile_check._costs(text, 4, tpu_check.V5E)
    assert figures["gflop_per_photo"] == round(2 * 1024**3 / 1e9, 1)
    assert figures["reckoned_ms_per_photo"] == 0.5
    assert figures["collectives"] == {"all-reduce": 1}
    assert figures["launches"] == 2
    known = dict.fromkeys(("compile_seconds", "compile_cpu_seconds", "lower_seconds"), 1)
    known |= dict.fromkeys(("hbm_mb", "code_mb", "temporary_mb_per_photo"), 2)
    line = compile_check._line(
        "label", {**known, **figures, "fits": False, "loops_counted_once": 3}
    )
    assert "DO NOT FIT" in line
    assert "3 loops of unknown length" in line


def test_a_gpu_is_bounded_by_what_it_moves_alone():
    text = (
        "ENTRY %main (a: f32[4096,1024], b: f32[1024,1024]) -> f32[4096,1024] {\n"
        "  %a = f32[4096,1024]{1,0} parameter(0)\n"
        "  %b = f32[1024,1024]{1,0} parameter(1)\n"
        "  %both = (f32[4096,1024]{1,0}, s8[33554432]{0}) custom-call(%a, %b)\n"
        "  ROOT %c = f32[4096,1024]{1,0} get-tuple-element(%both), index=0\n"
        "}\n"
    )
    figures = compile_check._costs(text, 1, gpu_check.H100)
    moved = 4 * 1024 * (4096 + 1024 + 4096)
    assert figures["traffic_gb_per_photo"] == round(moved / 1e9, 2)
    assert figures["bound_ms_per_photo"] == round(1e3 * moved / 3350e9, 2)
    assert "gflop_per_photo" not in figures and "reckoned_ms_per_photo" not in figures
    known = dict.fromkeys(("compile_seconds", "compile_cpu_seconds", "lower_seconds"), 1)
    known |= dict.fromkeys(("hbm_mb", "code_mb", "temporary_mb_per_photo"), 2) | {"fits": True}
    assert "reckoned" not in compile_check._line("label", {**known, **figures})


def test_a_machine_without_the_compiler_is_told_how_to_install_it(capsys):
    def none(count):
        raise RuntimeError("no such library")

    assert compile_check.main(gpu_check.H100._replace(devices=none), "About.", []) == 2
    told = capsys.readouterr().err
    assert "no compiler for GPUs (no such library)" in told and "jax[cuda13]" in told


def test_figures_that_cannot_be_written_are_refused_before_the_hour(tmp_path, capsys):
    assert compile_check.main(gpu_check.H100, "About.", [f"--json={tmp_path}"]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    os.mkfifo(tmp_path / "pipe")
    assert compile_check.main(gpu_check.H100, "About.", [f"--json={tmp_path}/pipe"]) == 2
    assert "pipe cannot be written: it is a pipe or a device" in capsys.readouterr().err
