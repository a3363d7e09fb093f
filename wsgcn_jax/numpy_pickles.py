"""NumPy's arrays in pickles, in `.npy` and in `.npz` files, read as data.

What a pickle of arrays in plain containers wants called is in `NUMPY_CALLS`: stand-ins that keep
what they are given and make an array of it only if its parts fit each other. No file makes us hold
more than its own size, or than the caller allows where it is compressed.
"""

import io
import math
import re
import zipfile
from typing import Any, NamedTuple

import numpy as np

from wsgcn_jax.pickles import Calls, RefusedError, Stateful, checked_key, read_pickle


def ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Stands in for collections.OrderedDict; takes the pairs, so that none is multiplied."""
    made = {checked_key(key): value for key, value in pairs}
    if type(pairs) is list:
        pairs.clear()
    elif pairs:
        raise ValueError("a dictionary is made of no list")
    return made


class _DType(Stateful):
    """Stands in for numpy.dtype: numbers, or object for lists of other things."""

    def __init__(self, code: str, *_: Any) -> None:
        if type(code) is not str or not re.fullmatch(r"[<>|=]?(b1|O8?|[iuf][1248]|\?)", code):
            raise RefusedError("it has an array of a type that is refused")
        self._code = code

    def set_state(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError("an array's byte order is unknown")
        self._code = state[1] + self._code.lstrip("<>|=")

    def get(self) -> np.dtype:
        """The type itself."""
        return np.dtype(self._code)


class Array(Stateful):
    """Stands in for a NumPy array."""

    def __init__(self, *_: Any) -> None:
        self._state: tuple[Any, ...] = ()

    def set_state(self, state: Any) -> None:
        self._state = state

    def get(self) -> Any:
        """The array; the list of its entries where they are objects.

        Raises:
            ValueError: its parts do not fit each other.
        """
        _, shape, dtype, by_columns, data = self._state
        if not isinstance(dtype, _DType) or type(shape) is not tuple:
            raise ValueError("an array without its type or shape")
        if dtype.get().hasobject:
            if type(data) is not list:
                raise ValueError("an array of objects without its objects")
            return data
        values = np.frombuffer(_bytes(data), dtype.get())
        if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) != values.size:
            raise ValueError("an array's data is cut short")
        return values.reshape(shape, order="F" if by_columns else "C")


def _scalar(dtype: _DType, data: Any) -> np.generic:
    """Stands in for one NumPy number."""
    if dtype.get().hasobject:
        raise RefusedError("it has a number that is none")
    return np.frombuffer(_bytes(data), dtype.get(), count=1)[0]


class _Encoded(NamedTuple):
    """Stands in for _codecs.encode, as which protocol 2 writes bytes; done when they are read."""

    text: str
    encoding: str


def _bytes(data: Any) -> bytes:
    return data.text.encode("latin1") if isinstance(data, _Encoded) else data


def _no_bytes() -> bytes:
    """Stands in for bytes, as which protocol 2 writes empty ones."""
    return b""


NUMPY_CALLS: Calls = {
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): ordered_dict,
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): Array,  # an argument of the next, never called
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _Encoded,
}
"""What a pickle of NumPy arrays in plain containers calls."""


def read_npy_object(data: bytes, calls: Calls = NUMPY_CALLS) -> Any:
    """Reads the one object of a `.npy` file of objects, such as `np.save(path, {...})`.

    Args:
        data: the file.
        calls: see `read_pickle`.

    Returns:
        The object; arrays in it are `Array`s.

    Raises:
        ValueError: it is no such file, or asks for more than data.
    """
    content = read_npy(data, calls)
    if isinstance(content, np.ndarray):
        raise ValueError("it holds an array, not one object")
    return content


def read_npy(data: bytes, calls: Calls = NUMPY_CALLS) -> Any:
    """Reads a `.npy` file: an array of numbers, or one object.

    Args:
        data: the file.
        calls: see `read_pickle`.

    Returns:
        An array, read-only; or the object, in which arrays are `Array`s.

    Raises:
        ValueError: it is no such file, is cut short, or asks for more than data.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is of the unknown version {version}")
    headers = (np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0)
    shape, by_columns, dtype = headers[version[0] - 1](stream)
    if dtype.hasobject:
        if shape != ():
            raise ValueError("it holds an array of objects, not one object")
        content = read_pickle(stream, calls)
        (single,) = content.get() if isinstance(content, Array) else (content,)
        return single
    if dtype.kind not in "biuf":
        raise ValueError(f"its numbers are of the type {dtype}, which is not read")
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError("its data is cut short")
    values = np.frombuffer(data, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if by_columns else "C")


def read_npz(data: bytes, most: int) -> dict[str, np.ndarray]:
    """Reads the arrays of a `.npz` file.

    Args:
        data: the file.
        most: bytes that it may unpack to.

    Returns:
        Arrays by name, read-only.

    Raises:
        ValueError: it is no such file, is damaged, holds objects, or unpacks to more.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = archive.infolist()
        if sum(file.file_size for file in files) > most:
            raise ValueError(f"it unpacks to more than {most:,} bytes")
        content = {file.filename: read_npy(archive.read(file), {}) for file in files}
    if not all(isinstance(value, np.ndarray) for value in content.values()):
        raise ValueError("it holds objects, not numbers")
    return {name.removesuffix(".npy"): value for name, value in content.items()}
