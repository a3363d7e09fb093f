"""Reads PyTorch's weight files without PyTorch, and without running what is in them.

Both formats are pickles: the present one inside a zip archive, the older one (PyTorch < 1.6)
bare, followed by the storages. A pickle can name any function; this reader builds tensors and
plain containers and refuses every other name.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from wsgcn_jax.types import DataError

_ZIP_START = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
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
        """Notes the element type (a key of _STORAGES' values) and the number of elements."""
        self.dtype = np.dtype("<u2" if kind == _BFLOAT16 else kind)
        self.kind = kind
        self.count = count
        self.values: np.ndarray | None = None

    def fill(self, data: bytes) -> None:
        """Takes the elements from their bytes."""
        if len(data) != self.count * self.dtype.itemsize:
            raise ValueError("a tensor's data is cut short")
        values = np.frombuffer(data, self.dtype)
        if self.kind == _BFLOAT16:
            # The upper half of a float32's bits.
            values = (values.astype(np.uint32) << 16).view(np.float32)
        self.values = values


class _Tensor(NamedTuple):
    """A window into a storage: where it starts, its shape and its steps, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """Copies the window out, checking that it lies inside the storage."""
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor's data is missing")
        steps = list(zip(self.shape, self.strides, strict=True))
        empty = 0 in self.shape
        last = self.offset + sum((size - 1) * stride for size, stride in steps)
        if min((self.offset, *self.shape, *self.strides)) < 0 or (
            not empty and last >= values.size
        ):
            raise ValueError("a tensor reaches beyond its data")
        window = np.lib.stride_tricks.as_strided(
            values[self.offset :],
            self.shape,
            [stride * values.itemsize for stride in self.strides],
            writeable=False,
        )
        return np.array(window)


class _RebuildTensor:
    """Stands in for torch._utils._rebuild_tensor_v2; without attributes a pickle could set."""

    __slots__ = ()

    def __call__(
        self, storage: _Storage, offset: int, shape: Any, strides: Any, *_: object
    ) -> _Tensor:
        """Notes the window; the storage may not have been read yet."""
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without storage")
        return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _RebuildParameter:
    """Stands in for torch._utils._rebuild_parameter: a parameter is its tensor."""

    __slots__ = ()

    def __call__(self, data: _Tensor, *_: object) -> _Tensor:
        """Drops whether it trains."""
        return data


_GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): kind for name, kind in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """A pickle reader that knows tensors and containers only."""

    def __init__(self, file: BinaryIO, path: str, storage: Callable[[str, str, int], Any]) -> None:
        """Reads from `file`; `storage(key, kind, count)` gives the storage of a key."""
        super().__init__(file, encoding="utf-8")
        self._path = path
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Looks a name up in the short list; never imports."""
        if (module, name) not in _GLOBALS:
            raise DataError(
                f"{self._path} names {module}.{name}, which is refused: only tensors and plain "
                "containers are read; save the network's state_dict() alone"
            )
        return _GLOBALS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Resolves a storage: ("storage", type, key, device, count[, view])."""
        tag, kind, key, _, count = pid[:5]
        if tag != "storage" or kind not in _STORAGES.values() or (len(pid) > 5 and pid[5]):
            raise ValueError(f"an unknown kind of storage: {pid!r}")
        return self._storage(str(key), kind, int(count))


def read_torch(path: str) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict, in either of the two file formats, without PyTorch.

    A dictionary under "state_dict" or "model" is unwrapped; entries that are no tensors are
    left out. Nothing in the file is executed.

    Args:
        path: of a .pth or .pt file.

    Returns:
        Arrays by the file's own names, in the file's order; bfloat16 comes as float32.

    Raises:
        DataError: the file is missing, cut short, no such file, or holds more than tensors and
            plain containers.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(4) == _ZIP_START
            file.seek(0)
            content = _read_zip(file, path) if zipped else _read_legacy(file, path)
        for key in _WRAPPERS:
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        if not isinstance(content, dict):
            raise ValueError("it holds no dictionary of tensors")
        return {str(k): v.array() for k, v in content.items() if isinstance(v, _Tensor)}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path") from error
    except Exception as error:  # A damaged pickle may raise anything.
        raise DataError(
            f"{path} is no whole PyTorch weight file ({error}); fetch or save it again"
        ) from error


def _read_zip(file: BinaryIO, path: str) -> Any:
    """Reads the present format: an archive with data.pkl and one file per storage."""
    with zipfile.ZipFile(file) as archive:
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

        return _Unpickler(io.BytesIO(archive.read(name)), path, storage).load()


def _read_legacy(file: BinaryIO, path: str) -> Any:
    """Reads the older format: magic, version, machine, content, keys, then the storages."""
    storages: dict[str, _Storage] = {}

    def storage(key: str, kind: str, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(kind, count))

    def load() -> Any:
        return _Unpickler(file, path, storage).load()

    if load() != _LEGACY_MAGIC:
        raise ValueError("it does not start as one")
    load()
    if not load().get("little_endian", True):
        raise ValueError("it was written on a big-endian machine")
    content = load()
    for key in load():
        (count,) = struct.unpack("<q", file.read(8))
        entry = storages[str(key)]
        if count != entry.count:
            raise ValueError("a storage has another size than announced")
        entry.fill(file.read(count * entry.dtype.itemsize))
    return content
