"""Weight files of every kind, known by their content: PyTorch's two formats and safetensors."""

import json
import math
from typing import Any

import numpy as np

from wsgcn_jax.folders import check_regular
from wsgcn_jax.models.torch_weights import bfloat16, read_torch
from wsgcn_jax.types import DataError

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_LENGTH = 8


def read_weights(path: str) -> dict[str, np.ndarray]:
    """Reads a file of tensors, whatever it is called.

    Args:
        path: of a PyTorch or a safetensors file.

    Returns:
        Arrays by the file's own names, in its order, read-only; bfloat16 comes as float32.

    Raises:
        DataError: the file is missing, cut short, of no known kind, or holds what is refused.
    """
    try:
        check_regular(path)
        with open(path, "rb") as file:
            start = file.read(_LENGTH + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path") from error
    # A safetensors file begins with the length of its JSON.
    return read_safetensors(path) if start[_LENGTH:] == b"{" else read_torch(path)


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """Reads `.safetensors`: eight bytes of length, a JSON header, the raw numbers.

    Args:
        path: of the file.

    Returns:
        As `read_weights`.

    Raises:
        DataError: the file is missing, cut short, no such file, or a tensor in it has a type
            that is not read or lies outside the data or on another's.
    """
    try:
        check_regular(path)
        with open(path, "rb") as file:
            content = file.read()
        length = int.from_bytes(content[:_LENGTH], "little")
        if length > len(content) - _LENGTH:
            raise ValueError("its header is cut short")
        header = json.loads(content[_LENGTH : _LENGTH + length], object_pairs_hook=_once)
        header.pop("__metadata__", None)
        data = memoryview(content)[_LENGTH + length :]
        _check_apart([entry["data_offsets"] for entry in header.values()])
        return {name: _tensor(name, entry, data) for name, entry in header.items()}
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path") from error
    except Exception as error:  # A damaged header may raise anything.
        raise DataError(
            f"{path} is no whole safetensors file ({error}); fetch or save it again"
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a name that is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _check_apart(places: list[list[int]]) -> None:
    """Refuses tensors that share numbers: a thousand names on one block would fill the memory."""
    ends = 0
    for start, end in sorted((start, end) for start, end in places if 0 <= start < end):
        if start < ends:
            raise ValueError("two tensors share their numbers")
        ends = end


def _tensor(name: str, entry: dict[str, Any], data: memoryview) -> np.ndarray:
    """Looks at one tensor's numbers, checking that they lie inside the data."""
    kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _TYPES:
        raise ValueError(f"{name} is of the type {kind}, which is not read")
    if any(type(n) is not int or n < 0 for n in (*shape, start, end)):
        raise ValueError(f"{name} has a size that is none")
    dtype = np.dtype(_TYPES[kind])
    if end > len(data) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} does not lie inside the data")
    values = np.frombuffer(data[start:end], dtype)
    return (bfloat16(values) if kind == "BF16" else values).reshape(shape)
