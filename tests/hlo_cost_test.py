"""Costs read from a compiled module's text, against sums made by hand."""

import pytest

from experiments.hlo_cost import module_cost
from experiments.hlo_text import Module, array_bytes, memory_bytes

CELL = 1024 * 4  # bytes of one tile of 8 x 128 floats

MODULE = """\
HloModule jit_f, is_scheduled=true

%sliced (p.0: f32[16,8,128], p.1: s32[]) -> f32[8,128] {
  %p.0 = f32[16,8,128]{2,1,0:T(8,128)} parameter(0)
  %p.1 = s32[]{:T(128)} parameter(1)
  %zero.1 = s32[]{:T(128)} constant(0)
  %one = f32[1,8,128]{2,1,0:T(8,128)} dynamic-slice(%p.0, %p.1, %zero.1, %zero.1), sizes={1,8,128}
  ROOT %flat = f32[8,128]{1,0:T(8,128)} bitcast(%one)
}

%put (q.0: f32[16,8,128], q.1: f32[8,128], q.2: s32[]) -> f32[16,8,128] {
  %q.0 = f32[16,8,128]{2,1,0:T(8,128)} parameter(0)
  %q.1 = f32[8,128]{1,0:T(8,128)} parameter(1)
  %q.2 = s32[]{:T(128)} parameter(2)
  %zero.2 = s32[]{:T(128)} constant(0)
  %row = f32[1,8,128]{2,1,0:T(8,128)} bitcast(%q.1)
  ROOT %at = f32[16,8,128]{2,1,0:T(8,128)} dynamic-update-slice(%q.0, %row, %q.2, %zero.2, %zero.2)
}

%body.inner (arg.1: (s32[], f32[8,128], s32[])) -> (s32[], f32[8,128], s32[]) {
  %arg.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, s32[]{:T(128)}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%arg.1), index=0
  %x.1 = f32[8,128]{1,0:T(8,128)} get-tuple-element(%arg.1), index=1
  %n.1 = s32[]{:T(128)} get-tuple-element(%arg.1), index=2
  %two = s32[]{:T(128)} constant(2)
  %next.1 = s32[]{:T(128)} add(%i.1, %two)
  %neg = f32[8,128]{1,0:T(8,128)} negate(%x.1), backend_config={"estimated_cycles":"10"}
  ROOT %t.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, s32[]{:T(128)}) tuple(%next.1, %neg, %n.1)
}

%condition.inner (arg.2: (s32[], f32[8,128], s32[])) -> pred[] {
  %arg.2 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, s32[]{:T(128)}) parameter(0)
  %i.2 = s32[]{:T(128)} get-tuple-element(%arg.2), index=0
  %n.2 = s32[]{:T(128)} get-tuple-element(%arg.2), index=2
  ROOT %less.1 = pred[]{:T(512)} compare(%i.2, %n.2), direction=LT
}

%body.outer (arg.3: (s32[], f32[16,8,128], s32[])) -> (s32[], f32[16,8,128], s32[]) {
  %arg.3 = (s32[]{:T(128)}, f32[16,8,128]{2,1,0:T(8,128)}, /*index=2*/s32[]{:T(128)}) parameter(0)
  %i.3 = s32[]{:T(128)} get-tuple-element(%arg.3), index=0
  %all = f32[16,8,128]{2,1,0:T(8,128)} get-tuple-element(%arg.3), index=1
  %n.3 = s32[]{:T(128)} get-tuple-element(%arg.3), index=2
  %step = s32[]{:T(128)} constant(1)
  %next.3 = s32[]{:T(128)} add(%i.3, %step)
  %start = s32[]{:T(128)} constant(0)
  %mine = f32[8,128]{1,0:T(8,128)} fusion(%all, %i.3), kind=kLoop, calls=%sliced
  %init = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, s32[]{:T(128)}) tuple(%start, %mine, %n.3)
  %loop.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, s32[]{:T(128)}) while(%init), \
condition=%condition.inner, body=%body.inner
  %done = f32[8,128]{1,0:T(8,128)} get-tuple-element(%loop.1), index=1
  %stored = f32[16,8,128]{2,1,0:T(8,128)} fusion(%all, %done, %i.3), kind=kLoop, calls=%put
  ROOT %t.3 = (s32[]{:T(128)}, f32[16,8,128]{2,1,0:T(8,128)}, s32[]{:T(128)}) tuple(%next.3, \
%stored, %n.3)
}

%condition.outer (arg.4: (s32[], f32[16,8,128], s32[])) -> pred[] {
  %arg.4 = (s32[]{:T(128)}, f32[16,8,128]{2,1,0:T(8,128)}, s32[]{:T(128)}) parameter(0)
  %i.4 = s32[]{:T(128)} get-tuple-element(%arg.4), index=0
  %limit = s32[]{:T(128)} constant(16)
  ROOT %less.2 = pred[]{:T(512)} compare(%i.4, %limit), direction=LT
}

ENTRY %main (x: f32[16,8,128]) -> f32[16,8,128] {
  %x = f32[16,8,128]{2,1,0:T(8,128)} parameter(0)
  %first = s32[]{:T(128)} constant(0)
  %six = s32[]{:T(128)} constant(6)
  %begin = (s32[]{:T(128)}, f32[16,8,128]{2,1,0:T(8,128)}, s32[]{:T(128)}) tuple(%first, %x, %six)
  %loop.2 = (s32[]{:T(128)}, f32[16,8,128]{2,1,0:T(8,128)}, s32[]{:T(128)}) while(%begin), \
condition=%condition.outer, body=%body.outer
  ROOT %y = f32[16,8,128]{2,1,0:T(8,128)} get-tuple-element(%loop.2), index=1
}
"""


def test_loops_count_as_often_as_they_run_and_slices_what_they_touch():
    cost = module_cost(MODULE)
    # 16 rounds, each: a slice read and written, 3 rounds (0 to 6 by 2) of one more, and a row back.
    assert cost.traffic == 16 * (2 + 3 * 2 + 2) * CELL
    assert cost.cycles == 16 * 3 * 10
    assert not cost.unknown


def test_a_loop_of_unknown_length_is_named_and_counted_once():
    line = "compare(%i.2, %n.2), direction="
    text = MODULE.replace(f"{line}LT", f"{line}NE")
    cost = module_cost(text)
    assert cost.unknown == {"loop.1"}
    assert cost.cycles == 16 * 10


def test_what_stays_in_vector_memory_is_no_traffic():
    inside = MODULE.replace("f32[8,128]{1,0:T(8,128)}", "f32[8,128]{1,0:T(8,128)S(1)}")
    assert module_cost(inside).traffic == 16 * 2 * CELL


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("f32[8,128]{1,0:T(8,128)}", CELL),
        ("f32[128,8]{0,1:T(8,128)}", CELL),
        ("f32[3,9,1]{2,1,0:T(8,128)}", 3 * 2 * CELL),  # the last two sides fill whole tiles
        ("bf16[16,128]{1,0:T(8,128)(2,1)}", CELL),
        ("f32[5]{0:T(128)}", 512),
        ("f32[8,128]{1,0:T(8,128)S(1)}", 0),
        ("s32[]{:T(128)}", 0),
        ("(pred[8,128]{1,0:T(8,128)(4,1)}, f32[8,128]{1,0:T(8,128)})", CELL // 4 + CELL),
    ],
)
def test_sizes_in_the_large_memory(shape, size):
    assert sum(memory_bytes(shape)) == size


def test_an_array_without_a_layout_is_as_large_as_its_elements():
    assert array_bytes("f32", (3, 5), "") == 60
    assert array_bytes("u4", (6,), "") == 3


def _products(line, shapes):
    parameters = "\n".join(f"  %a.{i} = {s} parameter({i})" for i, s in enumerate(shapes))
    text = f"ENTRY %main (a: f32[1]) -> f32[1] {{\n{parameters}\n  ROOT %r = {line}\n}}\n"
    assert Module(text).entry == "main"
    return module_cost(text).flops


def test_operations_of_matrix_products():
    two = ["f32[4,8]", "f32[8,16]"]
    plain = "f32[4,16] dot(%a.0, %a.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    assert _products(plain, two) == 2 * 4 * 8 * 16
    exact = plain + ", operand_precision={highest,highest}"
    assert _products(exact, two) == 6 * 2 * 4 * 8 * 16  # passes of bfloat16
    as_image = "f32[4,16] convolution(%a.0, %a.1), dim_labels=bf_io->bf"
    assert _products(as_image, two) == 2 * 4 * 8 * 16


def test_operations_of_a_batch_of_products_and_of_a_padded_convolution():
    batch = (
        "f32[5,4,16] convolution(%a.0, %a.1), window={size=5 stride=4 lhs_dilate=5}, "
        "dim_labels=0bf_0io->0bf"
    )
    assert _products(batch, ["f32[5,4,8]", "f32[5,8,16]"]) == 2 * 5 * 4 * 8 * 16
    # Three taps a place on a line of five with a zero at both ends: thirteen meet a value.
    line = "f32[1,5,1] convolution(%a.0, %a.1), window={size=3 pad=1_1}, dim_labels=b0f_0io->b0f"
    assert _products(line, ["f32[1,5,1]", "f32[3,1,1]"]) == 2 * 13


def test_a_loop_whose_length_is_told_needs_no_counting():
    text = MODULE.replace(
        "condition=%condition.inner, body=%body.inner",
        "condition=%condition.inner, body=%body.inner, "
        'backend_config={"known_trip_count":{"n":"7"}}',
    )
    module = Module(text)
    there = module.computations["body.outer"]
    assert module.loop_length(there.instructions["loop.1"], there) == 7
