"""Reads pickles as data: nothing in the file is imported, called or given a say in what runs.

PyTorch's weight files, IRNet's CAMs and VOC's label table are pickles, programs for a small stack
machine. This one knows the instructions that arrays, tensors and plain containers need. A name
that the file wants called is looked up in a table of ours; every other name and instruction is
refused. What a file can make us hold is bounded by its own size.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MARK = object()
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_STRINGS = {
    # instruction -> form of the length, whether it is text
    b"X": ("<I", True),
    b"\x8c": ("<B", True),
    b"\x8d": ("<Q", True),
    b"T": ("<I", True),  # byte strings of Python 2, which held text
    b"U": ("<B", True),
    b"B": ("<I", False),
    b"C": ("<B", False),
    b"\x8e": ("<Q", False),
}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_PUT = {b"q": "<B", b"r": "<I"}
_GET = {b"h": "<B", b"j": "<I"}


class RefusedError(ValueError):
    """The pickle asks for something that data do not need."""


class Name(NamedTuple):
    """A name that a pickle would have imported."""

    module: str
    name: str


Calls = Mapping[tuple[str, str], Callable[..., Any]]
"""What (module, name) stands for; called with what the pickle gives it."""


def read_pickle(
    stream: BinaryIO, calls: Calls, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """Reads one pickle (protocols 2 to 5, as far as data go).

    Args:
        stream: left just behind the pickle.
        calls: the only names that may be called.
        persistent: gives what an outside id stands for; None: there are none.

    Returns:
        Plain containers and what `calls` made. Names that are not called stay `Name`s.

    Raises:
        ValueError: it is cut short or malformed (`RefusedError`: asks for more than data).
    """
    return _Machine(stream, calls, persistent).run()


def checked_key(key: Any) -> str | int | np.generic:
    """Returns the key of a dictionary, which must be text or a number.

    Hashing or printing a tuple that holds itself twice, a hundred levels deep, never ends.

    Raises:
        RefusedError: it is something else.
    """
    if not isinstance(key, (str, int, np.generic)):
        raise RefusedError("a dictionary's keys are neither text nor numbers")
    return key


class Stateful:
    """What a pickle makes first and fills afterwards."""

    def set_state(self, state: Any) -> None:
        """Takes the contents."""
        raise NotImplementedError


class _Machine:
    """The stack machine; every instruction holds on to at most what it read from the file."""

    def __init__(
        self, stream: BinaryIO, calls: Calls, persistent: Callable[[Any], Any] | None
    ) -> None:
        self._stream, self._calls, self._persistent = stream, calls, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Executes up to the stop instruction."""
        handlers = {
            b"R": self._reduce,
            b"b": self._build,
            b"c": self._global_line,
            b"\x93": self._global_stack,
            b"Q": self._persistent_id,
            b"t": lambda: self._push(tuple(self._to_mark())),
            b"s": lambda: self._set_items(self._pop(2)),
            b"u": lambda: self._set_items(self._to_mark()),
            b"a": lambda: self._append(self._pop(1)),
            b"e": lambda: self._append(self._to_mark()),
            b"(": lambda: self._push(_MARK),
            b"}": lambda: self._push({}),
            b"]": lambda: self._push([]),
            b")": lambda: self._push(()),
            b"\x94": lambda: self._remember(len(self._memo)),
            b"\x95": lambda: self._take(8),  # frame
            b"\x8a": lambda: self._push(
                int.from_bytes(self._take(self._number("<B")), "little", signed=True)
            ),
        }
        if self._take(2) not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            raise ValueError("it does not start as one")
        while (code := self._take(1)) != b".":
            if code in _CONSTANTS:
                self._push(_CONSTANTS[code])
            elif code in _NUMBERS:
                self._push(self._number(_NUMBERS[code]))
            elif code in _STRINGS:
                length, text = _STRINGS[code]
                data = self._take(self._number(length))
                self._push(data.decode() if text else data)
            elif code in _TUPLES:
                self._push(tuple(self._pop(_TUPLES[code])))
            elif code in _PUT:
                self._remember(self._number(_PUT[code]))
            elif code in _GET:
                self._push(self._memo[self._number(_GET[code])])
            elif code in handlers:
                handlers[code]()
            else:
                raise RefusedError(f"it uses the instruction {code!r}, which data do not need")
        (result,) = self._stack
        return result

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise ValueError("it is cut short")
        return data

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self, count: int) -> list[Any]:
        values = self._stack[-count:]
        if len(values) != count or any(value is _MARK for value in values):
            raise ValueError("it takes more than there is")
        del self._stack[-count:]
        return values

    def _to_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while at >= 0 and self._stack[at] is not _MARK:
            at -= 1
        if at < 0:
            raise ValueError("it takes more than there is")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _set_items(self, values: list[Any]) -> None:
        (target,) = self._pop(1)
        if type(target) is not dict or len(values) % 2:
            raise ValueError("it fills what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[checked_key(key)] = value
        self._push(target)

    def _append(self, values: list[Any]) -> None:
        (target,) = self._pop(1)
        if type(target) is not list:
            raise ValueError("it fills what is no list")
        target.extend(values)
        self._push(target)

    def _global_line(self) -> None:
        module, name = (self._stream.readline(200).decode().rstrip("\n") for _ in range(2))
        self._push_name(module, name)

    def _global_stack(self) -> None:
        self._push_name(*self._pop(2))

    def _push_name(self, module: Any, name: Any) -> None:
        # NumPy 2 moved its inner modules.
        if isinstance(module, str):
            module = module.replace("numpy._core.", "numpy.core.")
        if type(module) is not str or type(name) is not str:
            raise ValueError("a name is no text")
        if (module, name) not in self._calls:
            wanted = ascii(f"{module[:60]}.{name[:60]}")[1:-1]  # in one line
            raise RefusedError(f"it names {wanted}, which is refused")
        self._push(Name(module, name))

    def _reduce(self) -> None:
        name, arguments = self._pop(2)
        if type(name) is not Name or type(arguments) is not tuple:
            raise RefusedError("it calls what is no name")
        self._push(self._calls[name](*arguments))

    def _build(self) -> None:
        target, state = self._pop(2)
        if isinstance(target, Stateful):
            target.set_state(state)
        elif type(target) is not dict:  # whose attributes (a state dict's versions) go
            raise RefusedError("it changes what is not to be changed")
        self._push(target)

    def _persistent_id(self) -> None:
        (pid,) = self._pop(1)
        if self._persistent is None:
            raise RefusedError("it points outside the file")
        self._push(self._persistent(pid))
