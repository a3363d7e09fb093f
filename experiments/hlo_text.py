"""Reading the text of a compiled module: computations, sizes in memory, lengths of loops."""

import math
import re
from functools import cached_property
from typing import NamedTuple

_NAME = r"%([\w.~-]+)"
_HEADER = re.compile(rf"^(ENTRY )?{_NAME} \(.*\{{$")
_INSTRUCTION = re.compile(rf"^\s+(ROOT )?{_NAME} = (.*)$")
_OPERATOR = re.compile(r" ([a-z][\w-]*)\(")
_CALLED = re.compile(rf"\b(calls|to_apply|body|condition)={_NAME}")
_BRANCHES = re.compile(r"\b(?:branch|true|false)_computations?=(\{[^}]*\}|[^,\s]+)")
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_PASSING = {"copy", "bitcast", "convert", "reshape", "copy-done"}  # what leaves a number as it is


class Instruction(NamedTuple):
    """A line of a computation.

    Attributes:
        name: unique in its module.
        shape: of the result.
        opcode: "fusion", "while", ...
        operands: names.
        argument: the text in the operator's brackets.
        rest: the text behind them.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    argument: str
    rest: str

    @property
    def called(self) -> dict[str, str]:
        """Names of computations by their part in it: "calls", "to_apply", "body", "condition"."""
        return dict(_CALLED.findall(self.rest))

    @property
    def branches(self) -> list[str]:
        """Names of the computations that a `conditional` chooses among."""
        return re.findall(_NAME, " ".join(_BRANCHES.findall(self.rest)))


class Computation(NamedTuple):
    """Instructions by name, in their order, and the name of the one that gives the result."""

    instructions: dict[str, Instruction]
    root: str

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters, in their order."""
        found = [one for one in self.instructions.values() if one.opcode == "parameter"]
        return [one.name for one in sorted(found, key=lambda one: int(one.argument))]


class Carried(NamedTuple):
    """A number that a loop carries, by its place."""

    place: int


Number = int | Carried | None
"""What the text tells of a number: itself, where it comes from, or nothing."""


class Module:
    """Computations by name, and the name of the one that runs first."""

    def __init__(self, text: str) -> None:
        """Reads `compiled.as_text()`."""
        self.computations: dict[str, Computation] = {}
        self.entry = ""
        for line in text.splitlines():
            if header := _HEADER.match(line):
                instructions: dict[str, Instruction] = {}
                name = header[2]
                self.entry = name if header[1] else self.entry
            elif found := _INSTRUCTION.match(line):
                one = _instruction(found[2], found[3])
                instructions[one.name] = one
                if found[1]:
                    self.computations[name] = Computation(instructions, one.name)

    def loop_length(self, loop: Instruction, there: Computation) -> int | None:
        """How often a `while` runs its body; None where the text does not tell.

        It tells of a counter that is carried, starts at a number, grows by one, and ends the loop
        at another.

        Args:
            loop: the instruction.
            there: the computation that holds it.
        """
        if told := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.rest):
            return int(told[1])
        condition = self.computations[loop.called["condition"]]
        compared, numbers = self._operation(condition.root, condition)
        if compared.opcode != "compare" or "direction=LT" not in compared.rest:
            return None
        counter, limit = numbers
        if not isinstance(counter, Carried):
            return None
        first = self._at_start(loop, there, counter)
        last = self._at_start(loop, there, limit)
        step = self._growth(self.computations[loop.called["body"]], counter)
        if first is None or last is None or not step:
            return None
        return max(0, -(-(last - first) // step))

    def _at_start(self, loop: Instruction, there: Computation, number: Number) -> int | None:
        """A number of a loop's condition, or one it carries, before the loop."""
        if not isinstance(number, Carried):
            return number
        start = there.instructions[loop.operands[0]]
        if start.opcode != "tuple":
            return None
        outside = self._number(start.operands[number.place], there)
        if not isinstance(outside, Carried):
            return outside
        # An outer loop carries it: what does not change there is what it was at its start.
        outer = self._loops.get(id(there.instructions))
        if outer is None or self._carried_on(there, outside) != outside:
            return None
        return self._at_start(*outer, outside)

    @cached_property
    def _loops(self) -> dict[int, tuple[Instruction, Computation]]:
        """Each loop and what holds it, by its body's instructions."""
        return {
            id(self.computations[one.called["body"]].instructions): (one, there)
            for there in self.computations.values()
            for one in there.instructions.values()
            if one.opcode == "while"
        }

    def _growth(self, body: Computation, counter: Carried) -> int | None:
        """What a loop's body adds to its counter."""
        root = body.instructions[body.root]
        if root.opcode != "tuple":
            return None
        added, numbers = self._operation(root.operands[counter.place], body)
        if added.opcode != "add" or counter not in numbers:
            return None
        return next((number for number in numbers if isinstance(number, int)), None)

    def _carried_on(self, body: Computation, number: Carried) -> Number:
        """What a loop's body leaves at a place of what it carries."""
        root = body.instructions[body.root]
        return self._number(root.operands[number.place], body) if root.opcode == "tuple" else None

    def _operation(self, name: str, there: Computation) -> tuple[Instruction, list[Number]]:
        """The operation behind a name, alone in a fusion perhaps, and its operands."""
        one = there.instructions[name]
        while one.opcode in _PASSING:
            one = there.instructions[one.operands[0]]
        numbers = [self._number(operand, there) for operand in one.operands]
        if one.opcode != "fusion":
            return one, numbers
        inner = self.computations[one.called["calls"]]
        root = inner.instructions[inner.root]
        return root, [self._number(operand, inner, numbers) for operand in root.operands]

    def _number(
        self, name: str, there: Computation, arguments: list[Number] | None = None
    ) -> Number:
        one = there.instructions[name]
        while one.opcode in _PASSING:
            one = there.instructions[one.operands[0]]
        if one.opcode == "constant":
            return int(one.argument) if re.fullmatch(r"-?\d+", one.argument) else None
        if one.opcode == "parameter" and arguments is not None:
            return arguments[int(one.argument)]
        if one.opcode == "get-tuple-element":
            place = re.search(r"\bindex=(\d+)", one.rest)
            if place and there.instructions[one.operands[0]].opcode == "parameter":
                return Carried(int(place[1]))
        return None


def arrays(shape: str) -> list[tuple[str, tuple[int, ...], str]]:
    """The arrays of a shape, a tuple's perhaps: type, sides and layout of each."""
    return [
        (kind, tuple(int(side) for side in sides.split(",") if side), layout)
        for kind, sides, layout in _ARRAY.findall(shape)
    ]


def memory_bytes(shape: str) -> list[int]:
    """What each array of a shape takes in the large memory.

    0 for single numbers, and for what lies elsewhere on the chip: its layout names another memory,
    S(1) or so.
    """
    return [
        array_bytes(kind, sides, layout) if sides and not re.search(r"S\([1-9]", layout) else 0
        for kind, sides, layout in arrays(shape)
    ]


def array_bytes(kind: str, sides: tuple[int, ...], layout: str) -> int:
    """What an array takes where it lies, padded to whole tiles.

    Args:
        kind: "f32", "bf16", "pred", ...
        sides: of the array.
        layout: "1,0:T(8,128)": axes from the fastest, and the tile of the fastest ones.
    """
    bits = re.match(r"[a-z]+(\d+)", kind)
    size = int(bits[1]) / 8 if bits else {"pred": 1}.get(kind, 0)
    order = [int(axis) for axis in re.findall(r"\d+", layout.partition(":")[0])]
    placed = [sides[axis] for axis in reversed(order)] if order else list(sides)
    tile = re.search(r":T\(([\d,]+)\)", layout)
    cells = [int(side) for side in tile[1].split(",")] if tile else []
    placed = [1] * (len(cells) - len(placed)) + placed
    whole, tiled = placed[: len(placed) - len(cells)], placed[len(placed) - len(cells) :]
    padded = (-(-side // cell) * cell for side, cell in zip(tiled, cells, strict=True))
    return math.ceil(size * math.prod(whole) * math.prod(padded))


def _instruction(name: str, text: str) -> Instruction:
    """Reads what stands behind `NAME = `."""
    # The shape before it has brackets, too, but none behind a space and a word.
    found = _OPERATOR.search(text)
    assert found is not None, f"no operator: {text[:100]}"
    depth, end = 1, found.end()
    while depth:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    argument = text[found.end() : end - 1]
    operands = tuple(re.findall(_NAME, argument))
    return Instruction(name, text[: found.start()], found[1], operands, argument, text[end:])
