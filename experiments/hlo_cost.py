"""What a program compiled for a TPU or GPU moves and multiplies, each loop as often as it runs.

The compiler's own sums (`cost_analysis`) count the body of a loop once, and take for traffic what
never leaves the chip's vector memory. Here both are read from the compiled module's text.
"""

import re
from typing import NamedTuple

import numpy as np

from .hlo_text import Computation, Instruction, Module, array_bytes, arrays, memory_bytes

_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"}
_SLICES = {"slice", "dynamic-slice", "gather"}
_PASSES = {"highest": 6, "high": 3}  # products of bfloat16 that make one of float32


class Cost(NamedTuple):
    """Of a program or of a part of it.

    Attributes:
        traffic: bytes from and to the chip's large memory.
        flops: operations of matrix products, in passes of bfloat16.
        cycles: the compiler's estimates; parts without one count nothing.
        launches: kernels and copies.
        unknown: loops of a length that the text does not tell, counted once.
    """

    traffic: float = 0.0
    flops: float = 0.0
    cycles: float = 0.0
    launches: int = 0
    unknown: frozenset[str] = frozenset()

    def plus(self, other: "Cost", times: int = 1) -> "Cost":
        """Adds what another part costs, run so many times."""
        return Cost(
            self.traffic + times * other.traffic,
            self.flops + times * other.flops,
            self.cycles + times * other.cycles,
            self.launches + times * other.launches,
            self.unknown | other.unknown,
        )


def module_cost(text: str) -> Cost:
    """Adds up what one run costs.

    Args:
        text: of the compiled module, `compiled.as_text()`.
    """
    module = Module(text)
    return _Costs(module).of(module.entry)


class _Costs:
    """The costs of a module's computations, each worked out once."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._known: dict[str, Cost] = {}

    def of(self, name: str) -> Cost:
        """Of a computation whose instructions run one after the other."""
        if name not in self._known:
            total, there = Cost(), self._module.computations[name]
            for one in there.instructions.values():
                total = self._add(total, one, there)
            self._known[name] = total
        return self._known[name]

    def _add(self, total: Cost, one: Instruction, there: Computation) -> Cost:
        called = one.called
        if one.opcode in _FREE or one.opcode.endswith("-done"):
            return total
        if one.opcode == "while":
            length = self._module.loop_length(one, there)
            inside = self.of(called["body"]).plus(self.of(called["condition"]))
            if length is None:
                return total.plus(inside).plus(Cost(unknown=frozenset({one.name})))
            return total.plus(inside, length)
        if one.opcode in ("call", "async-start"):
            return total.plus(self.of(called.get("to_apply") or called["calls"]))
        if one.opcode == "conditional":
            return total.plus(max(map(self.of, one.branches), key=lambda cost: cost.traffic))
        cycles = re.search(r'"estimated_cycles":"(\d+)"', one.rest)
        return total.plus(
            Cost(
                self._traffic(one, there),
                self._flops(one, there),
                float(cycles[1]) if cycles else 0.0,
                launches=1,
            )
        )

    def _traffic(self, one: Instruction, there: Computation) -> float:
        """Bytes that an instruction reads and writes."""
        if 'custom_call_target="AllocateBuffer"' in one.rest:
            return 0.0
        if one.opcode.endswith("-start"):  # (to, from, ...), or nested: what arrives is what leaves
            size = min((array_bytes(*array) for array in arrays(one.shape)[:2]), default=0)
            return float(size * sum(x > 0 for x in memory_bytes(one.shape)[:2]))
        sizes = memory_bytes(one.shape)
        if one.opcode == "custom-call":  # a library's workspace is bytes, and hardly touched
            kinds = [kind for kind, _, _ in arrays(one.shape)]
            sizes = [0 if kind == "s8" else n for kind, n in zip(kinds, sizes, strict=True)]
        written = self._written(one.name, there, sizes)
        sources = [there.instructions[name] for name in one.operands]
        read = 0.0
        for place, source in enumerate(sources):
            whole = sum(memory_bytes(source.shape))
            read += min(whole, self._read(one, place, whole)) if whole else 0.0
        return read + written

    def _read(self, one: Instruction, place: int, whole: float) -> float:
        """Bytes that an instruction reads of an operand of a size."""
        if one.opcode in _SLICES:
            return _size(one.shape) if place == 0 else whole
        if one.opcode == "dynamic-update-slice":
            return 0.0 if place == 0 else whole
        if one.opcode != "fusion":
            return whole
        inner = self._module.computations[one.called["calls"]]
        return self._read_inside(inner.parameters[place], inner, whole)

    def _read_inside(self, name: str, inner: Computation, whole: float) -> float:
        """Bytes that a fusion reads of what it calls by a name."""
        total = 0.0
        for user in inner.instructions.values():
            for place, operand in enumerate(user.operands):
                if operand != name:
                    continue
                if user.opcode == "bitcast":
                    total += self._read_inside(user.name, inner, whole)
                elif user.opcode != "tuple":
                    total += self._read(user, place, whole)
        return min(total, whole)

    def _written(self, name: str, there: Computation, sizes: list[int]) -> float:
        """Bytes that an instruction writes, its results having given sizes in memory."""
        one = there.instructions[name]
        if not any(sizes):
            return 0.0
        if one.opcode == "bitcast":
            return self._written(one.operands[0], there, sizes)
        if one.opcode == "dynamic-update-slice":
            return min(sizes[0], _size(there.instructions[one.operands[1]].shape))
        if one.opcode == "tuple":
            parts = zip(one.operands, sizes, strict=True)
            return sum(self._written(operand, there, [size]) for operand, size in parts)
        if one.opcode == "fusion":
            inner = self._module.computations[one.called["calls"]]
            return self._written(inner.root, inner, sizes)
        return float(sum(sizes))

    def _flops(self, one: Instruction, there: Computation) -> float:
        """Operations of the matrix products in an instruction."""
        if one.opcode == "fusion":
            inner = self._module.computations[one.called["calls"]]
            return sum(self._flops(part, inner) for part in inner.instructions.values())
        if one.opcode not in ("convolution", "dot"):
            return 0.0
        shapes = [arrays(there.instructions[name].shape)[0][1] for name in one.operands]
        result = arrays(one.shape)[0][1]
        products = _dot if one.opcode == "dot" else _convolution
        precision = re.search(r"operand_precision=\{(\w+)", one.rest)
        passes = _PASSES.get(precision[1], 1) if precision else 1
        return 2.0 * passes * products(one.rest, shapes, result)


def _size(shape: str) -> float:
    """Bytes of a shape, wherever it lies."""
    return float(sum(array_bytes(*array) for array in arrays(shape)))


def _dot(rest: str, shapes: list[tuple[int, ...]], result: tuple[int, ...]) -> float:
    """Multiplications of a `dot`: the result times the sides that it sums over."""
    found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest)
    axes = [int(axis) for axis in found[1].split(",") if axis] if found else []
    return float(np.prod(result, dtype=float) * np.prod([shapes[0][i] for i in axes], dtype=float))


def _convolution(rest: str, shapes: list[tuple[int, ...]], result: tuple[int, ...]) -> float:
    """Multiplications of a `convolution`, those by padding and dilation left out.

    A TPU's compiler writes a batch of products as one: the batch is a window, dilated so that
    each element meets its own only.
    """
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", rest)
    assert labels is not None, f"a convolution without labels: {rest[:100]}"
    image, kernel, out = labels.groups()
    total = float(result[out.index("b")] * result[out.index("f")] * shapes[1][kernel.index("i")])
    for axis in filter(str.isdigit, kernel):
        window = _window(rest, int(axis))
        first: np.ndarray = np.arange(result[out.index(axis)]) * window["stride"] - window["pad"]
        taps: np.ndarray = np.arange(shapes[1][kernel.index(axis)]) * window["rhs_dilate"]
        last = (shapes[0][image.index(axis)] - 1) * window["lhs_dilate"]
        place = first[:, None] + taps[None]
        total *= int(((place >= 0) & (place <= last) & (place % window["lhs_dilate"] == 0)).sum())
    return total


def _window(rest: str, axis: int) -> dict[str, int]:
    """Stride, padding and dilations of a convolution along an axis."""
    found = re.search(r"window=\{([^}]*)\}", rest)
    words = dict(word.split("=") for word in found[1].split()) if found else {}
    values = {"stride": 1, "pad": 0, "lhs_dilate": 1, "rhs_dilate": 1}
    for name in values:
        if name in words:
            values[name] = int(words[name].split("x")[axis].partition("_")[0])
    return values
