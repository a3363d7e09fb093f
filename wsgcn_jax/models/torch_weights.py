"""Reads PyTorch's tensors without PyTorch, and without running what is in the file.

Both weight formats are pickles: the present one inside a zip archive, the older one (PyTorch <
1.6) bare, followed by the storages. `pickles` reads them as data.
"""

import io
import math
import os
import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from wsgcn_jax.folders import check_regular
from wsgcn_jax.numpy_pickles import NUMPY_CALLS
from wsgcn_jax.pickles import Calls, Name, RefusedError, checked_key, read_pickle
from wsgcn_jax.types import DataError

_ZIP_START = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MOST = 4  # times its size may a file stand for: shared tensors, bfloat16 as float32
_WRAPPERS = ("state_dict", "model")
_BFLOAT16 = "bfloat16"
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class _Storage:
    """A flat run of numbers that tensors look into; the older format fills it in last."""

    def __init__(self, kind: str, count: int) -> None:
        """Notes the element type (a value of _STORAGES) and the number of elements."""
        self.dtype = np.dtype("<u2" if kind == _BFLOAT16 else kind)
        self.kind = kind
        self.count = count
        self.values: np.ndarray | None = None

    def fill(self, data: bytes) -> None:
        """Takes the elements from their bytes."""
        if len(data) != self.count * self.dtype.itemsize:
            raise ValueError("a tensor's data is cut short")
        values = np.frombuffer(data, self.dtype)
        self.values = bfloat16(values) if self.kind == _BFLOAT16 else values


class _Bytes(NamedTuple):
    """A storage inside the pickle, a whole file of the older format; read when it is looked at."""

    data: bytes

    def read(self) -> Any:
        """Gives the storage."""
        return _read_legacy(io.BytesIO(self.data))


class Tensor(NamedTuple):
    """A window into a storage: where it starts, its shape and its steps, in elements."""

    storage: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def get(self) -> np.ndarray:
        """Returns the window, read-only.

        Raises:
            ValueError: it does not lie inside the storage.
        """
        storage = self.storage.read() if isinstance(self.storage, _Bytes) else self.storage
        if not isinstance(storage, _Storage) or storage.values is None:
            raise ValueError("a tensor's data is missing")
        values = storage.values
        steps = list(zip(self.shape, self.strides, strict=True))
        empty = 0 in self.shape
        last = self.offset + sum((size - 1) * stride for size, stride in steps)
        if min((self.offset, *self.shape, *self.strides)) < 0 or (
            not empty and last >= values.size
        ):
            raise ValueError("a tensor reaches beyond its data")
        # A stride of 0 would show one number as often as the file likes.
        if math.prod(self.shape) > values.size:
            raise ValueError("a tensor is larger than its data")
        # Not copied: names that share a storage, as IRNet's do, share its memory.
        return np.lib.stride_tricks.as_strided(
            values[self.offset :],
            self.shape,
            [stride * values.itemsize for stride in self.strides],
            writeable=False,
        )


def bfloat16(bits: np.ndarray) -> np.ndarray:
    """Turns `u16` bits into f32: they are the upper half of a float32's."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _rebuild_tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: object) -> Tensor:
    """Stands in for torch._utils._rebuild_tensor_v2; the storage may not have been read yet."""
    if not isinstance(storage, (_Storage, _Bytes)):
        raise ValueError("a tensor without storage")
    return Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(data: Tensor, *_: object) -> Tensor:
    """Stands in for torch._utils._rebuild_parameter: a parameter is its tensor."""
    return data


def _refuse(*_: object) -> None:
    raise RefusedError("it makes an empty storage")


_CALLS: Calls = {
    **NUMPY_CALLS,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    # Only named, as the kind of a storage.
    **{("torch", name): _refuse for name in _STORAGES},
}

TENSOR_CALLS: Calls = {**_CALLS, ("torch.storage", "_load_from_bytes"): _Bytes}
"""What a pickle of tensors and arrays outside PyTorch's own files calls (IRNet's CAMs)."""


def read_torch(path: str) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict, in either of the two file formats, without PyTorch.

    A dictionary under "state_dict" or "model" is unwrapped; entries that are no tensors are
    left out. Nothing in the file is executed.

    Args:
        path: of a .pth or .pt file.

    Returns:
        Arrays by the file's own names, in the file's order, read-only; bfloat16 comes as float32.

    Raises:
        DataError: the file is missing, cut short, no such file, or holds more than tensors and
            plain containers.
    """
    try:
        check_regular(path)
        with open(path, "rb") as file:
            zipped = file.read(4) == _ZIP_START
            file.seek(0)
            content = _read_zip(file) if zipped else _read_legacy(file)
        for key in _WRAPPERS:
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        if not isinstance(content, dict):
            raise ValueError("it holds no dictionary of tensors")
        arrays = {str(k): v.get() for k, v in content.items() if isinstance(v, Tensor)}
        if sum(array.nbytes for array in arrays.values()) > _MOST * os.path.getsize(path):
            raise ValueError("too many of its tensors share their data")
        return arrays
    except RefusedError as error:
        raise DataError(
            f"{path}: {error}: only tensors and plain containers are read; save the network's "
            "state_dict() alone"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path") from error
    except Exception as error:  # A damaged pickle may raise anything.
        raise DataError(
            f"{path} is no whole PyTorch weight file ({error}); fetch or save it again"
        ) from error


def _persistent(storage: Callable[[str, str, int], _Storage]) -> Callable[[Any], _Storage]:
    """Resolves ids of storages: ("storage", type, key, device, count[, view])."""

    def resolve(pid: Any) -> _Storage:
        tag, name, key, _, count = pid[:5]
        known = type(name) is Name and name.module == "torch" and name.name in _STORAGES
        if tag != "storage" or not known or (len(pid) > 5 and pid[5]):
            raise ValueError("an unknown kind of storage")
        return storage(str(checked_key(key)), _STORAGES[name.name], int(count))

    return resolve


def _read_zip(file: BinaryIO) -> Any:
    """Reads the present format: an archive with data.pkl and one file per storage."""
    with zipfile.ZipFile(file) as archive:
        # PyTorch does not compress: a small file that unpacks to a large one is not from there.
        if sum(entry.file_size for entry in archive.infolist()) > os.fstat(file.fileno()).st_size:
            raise ValueError("it unpacks to more than its own size")
        name = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
        if name is None:
            raise ValueError("the archive has no data.pkl")
        root = name.removesuffix("data.pkl")
        order = root + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("it was written on a big-endian machine")
        storages: dict[str, _Storage] = {}

        def storage(key: str, kind: str, count: int) -> _Storage:
            if key not in storages:
                storages[key] = _Storage(kind, count)
                storages[key].fill(archive.read(f"{root}data/{key}"))
            return storages[key]

        return read_pickle(io.BytesIO(archive.read(name)), _CALLS, _persistent(storage))


def _read_legacy(file: BinaryIO) -> Any:
    """Reads the older format: magic, version, machine, content, keys, then the storages."""
    storages: dict[str, _Storage] = {}
    start = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(start)

    def storage(key: str, kind: str, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(kind, count))

    def load() -> Any:
        return read_pickle(file, _CALLS, _persistent(storage))

    if load() != _LEGACY_MAGIC:
        raise ValueError("it does not start as one")
    load()
    if not load().get("little_endian", True):
        raise ValueError("it was written on a big-endian machine")
    content = load()
    for key in load():
        (count,) = struct.unpack("<q", file.read(8))
        entry = storages[str(checked_key(key))]
        if count != entry.count:
            raise ValueError("a storage has another size than announced")
        if not 0 <= count * entry.dtype.itemsize <= length - file.tell():
            raise ValueError("a tensor's data is cut short")
        entry.fill(file.read(count * entry.dtype.itemsize))
    return content
