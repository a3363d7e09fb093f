"""The restricted reader against files written byte by byte here, and by PyTorch (slow)."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsgcn_jax.models.torch_weights import read_torch
from wsgcn_jax.types import DataError

_MAGIC = 0x1950A86A20F9469CFC6C


def _plain(value: object) -> bytes:
    """Pickles a plain value, without start and stop."""
    return pickle.dumps(value, 2)[2:-1]


def _global(module: str, name: str) -> bytes:
    """Names something to import."""
    return f"c{module}\n{name}\n".encode()


def _tensor(
    kind: str,
    key: str,
    count: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    tail: bytes = b"",
) -> bytes:
    """Pickles a tensor as PyTorch does; `tail` is the older format's view."""
    fields = [_plain("storage"), _global("torch", kind), _plain(key), _plain("cpu"), _plain(count)]
    storage = b"(" + b"".join(fields) + tail + b"tQ"
    hooks = _global("collections", "OrderedDict") + b")R"
    window = storage + _plain(offset) + _plain(shape) + _plain(strides) + _plain(False) + hooks
    return _global("torch._utils", "_rebuild_tensor_v2") + b"(" + window + b"tR"


def _dictionary(entries: dict[str, bytes]) -> bytes:
    """Pickles an OrderedDict of values pickled already, without start and stop."""
    body = b"".join(_plain(key) + value for key, value in entries.items())
    return _global("collections", "OrderedDict") + b")R(" + body + b"u"


def _write_zip(path: Path, content: bytes, storages: dict[str, bytes]) -> str:
    """Writes the present format."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02" + content + b".")
        archive.writestr("net/byteorder", "little")
        for key, data in storages.items():
            archive.writestr(f"net/data/{key}", data)
    return str(path)


def _write_legacy(path: Path, content: bytes, storages: dict[str, tuple[int, bytes]]) -> str:
    """Writes the older format."""
    head = [pickle.dumps(value, 2) for value in (_MAGIC, 1001, {"little_endian": True})]
    data = [struct.pack("<q", count) + raw for count, raw in storages.values()]
    body = [b"\x80\x02" + content + b".", pickle.dumps(list(storages), 2)]
    path.write_bytes(b"".join([*head, *body, *data]))
    return str(path)


_VALUES = np.arange(12, dtype=np.float32) / 8 - 0.5


def _both(path: Path, *, cut: int = 0) -> list[str]:
    """Writes one network in both formats: a transposed window, a scalar, a counter."""

    def content(tail: bytes) -> bytes:
        return _dictionary(
            {
                "a.weight": _tensor("FloatStorage", "0", 12, (3, 2), (1, 4), 1, tail),
                "a.bias": _tensor("FloatStorage", "0", 12, (2,), (3,), 5, tail),
                "steps": _tensor("LongStorage", "1", 1, (), (), 0, tail),
                "note": _plain("no tensor"),
            }
        )

    floats, long = _VALUES.tobytes(), struct.pack("<q", -7)
    long = long[: len(long) - cut]
    zipped = _write_zip(path / "zip.pth", content(b""), {"0": floats, "1": long})
    legacy = {"0": (12, floats), "1": (1, long)}
    return [zipped, _write_legacy(path / "legacy.pth", content(b"N"), legacy)]


def test_both_formats_give_the_same_arrays(tmp_path: Path) -> None:
    for path in _both(tmp_path):
        weights = read_torch(path)
        assert list(weights) == ["a.weight", "a.bias", "steps"]
        expected = _VALUES[[[1, 5], [2, 6], [3, 7]]]
        np.testing.assert_array_equal(weights["a.weight"], expected)
        np.testing.assert_array_equal(weights["a.bias"], _VALUES[[5, 8]])
        assert weights["steps"].shape == () and weights["steps"] == -7


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("DoubleStorage", np.array([1.5, -2.0], "<f8")),
        ("HalfStorage", np.array([1.5, -2.0], "<f2")),
        ("IntStorage", np.array([3, -4], "<i4")),
        ("ByteStorage", np.array([3, 250], "<u1")),
        ("BoolStorage", np.array([True, False])),
    ],
)
def test_element_types(tmp_path: Path, kind: str, values: np.ndarray) -> None:
    content = _dictionary({"x": _tensor(kind, "0", 2, (2,), (1,))})
    read = read_torch(_write_zip(tmp_path / "x.pth", content, {"0": values.tobytes()}))["x"]
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    content = _dictionary({"x": _tensor("BFloat16Storage", "0", 2, (2,), (1,))})
    # 1.5 and -2 are 0x3FC00000 and 0xC0000000 as float32.
    data = struct.pack("<HH", 0x3FC0, 0xC000)
    read = read_torch(_write_zip(tmp_path / "x.pth", content, {"0": data}))["x"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, [1.5, -2.0])


def test_wrapped_dictionaries_are_unwrapped(tmp_path: Path) -> None:
    inner = _dictionary({"x": _tensor("FloatStorage", "0", 1, (1,), (1,))})
    data = {"0": np.float32(2.5).tobytes()}
    for key in ("state_dict", "model"):
        content = _dictionary({"epoch": _plain(3), key: inner})
        np.testing.assert_array_equal(
            read_torch(_write_zip(tmp_path / f"{key}.pth", content, data))["x"], [2.5]
        )


def _call(module: str, name: str, argument: object) -> bytes:
    """Pickles a call of one argument."""
    return _global(module, name) + b"(" + _plain(argument) + b"tR"


@pytest.mark.fault("PyTorch weights that call `{module}.{name}`", "one line; nothing runs")
@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch.nn", "Linear"), ("collections", "deque")],
)
def test_other_names_are_refused_and_never_run(tmp_path: Path, module: str, name: str) -> None:
    trace = tmp_path / "trace"
    content = _dictionary({"x": _call(module, name, f"touch {trace}")})
    paths = [
        _write_zip(tmp_path / "evil.pth", content, {}),
        _write_legacy(tmp_path / "evil_legacy.pth", content, {}),
    ]
    for path in paths:
        with pytest.raises(DataError, match=f"{module}.{name}, which is refused") as caught:
            read_torch(path)
        assert path in str(caught.value)
    assert not trace.exists()


@pytest.mark.fault("PyTorch weights cut short anywhere", "one line")
def test_files_cut_short(tmp_path: Path) -> None:
    for path in _both(tmp_path):
        whole = Path(path).read_bytes()
        for length in range(0, len(whole), 37):
            Path(path).write_bytes(whole[:length])
            with pytest.raises(DataError, match=Path(path).name):
                read_torch(path)
    for path in _both(tmp_path, cut=1):
        with pytest.raises(DataError, match="cut short"):
            read_torch(path)


@pytest.mark.fault(
    "a tensor of stride 0 that shows one number ten thousand million times",
    "one line; no memory is spent",
)
def test_a_stride_of_0_shows_no_number_twice(tmp_path: Path) -> None:
    content = _dictionary({"x": _tensor("FloatStorage", "0", 12, (10**5, 10**5), (0, 0))})
    path = _write_zip(tmp_path / "x.pth", content, {"0": _VALUES.tobytes()})
    with pytest.raises(DataError, match="larger than its data"):
        read_torch(path)


@pytest.mark.fault("many tensors on one block of data", "one line")
def test_names_share_their_data_within_bounds(tmp_path: Path) -> None:
    values = np.zeros(10**5, np.float32)

    def written(names: int) -> str:
        tensor = _tensor("FloatStorage", "0", len(values), (len(values),), (1,))
        content = _dictionary({str(name): tensor for name in range(names)})
        return _write_zip(tmp_path / "x.pth", content, {"0": values.tobytes()})

    assert len(read_torch(written(2))) == 2  # tied weights
    with pytest.raises(DataError, match="too many of its tensors share"):
        read_torch(written(50))


@pytest.mark.fault("keys that share themselves a hundred levels deep", "one line; nothing hangs")
@pytest.mark.parametrize("field", ["key", "kind"])
def test_ids_of_storages_that_share_themselves(tmp_path: Path, field: str) -> None:
    """A tuple of the same tuple twice, a hundred levels deep: hashing or printing never ends."""
    deep = b")" + b"q\x00h\x00\x86" * 100
    kind = _global("torch", "FloatStorage") if field == "key" else _plain("torch") + deep + b"\x86"
    key = deep if field == "key" else _plain("0")
    content = b"(" + _plain("storage") + kind + key + _plain("cpu") + _plain(1) + b"tQ"
    with pytest.raises(DataError):
        read_torch(_write_zip(tmp_path / "x.pth", content, {}))


@pytest.mark.fault("a tensor that reaches beyond its data", "one line")
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((13,), (1,), 0), ((2, 2), (11, 1), 0), ((1,), (1,), 12), ((2,), (-1,), 5), ((2,), (1,), -1)],
)
def test_windows_beyond_their_storage_are_refused(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    content = _dictionary({"x": _tensor("FloatStorage", "0", 12, shape, strides, offset)})
    path = _write_zip(tmp_path / "x.pth", content, {"0": _VALUES.tobytes()})
    with pytest.raises(DataError, match="beyond its data"):
        read_torch(path)


@pytest.mark.fault("weights that would change the program that reads them", "one line")
def test_a_pickle_cannot_tamper_with_the_reader(tmp_path: Path) -> None:
    # BUILD with (None, state) sets attributes of whatever lies on the stack.
    rebuild = _global("torch._utils", "_rebuild_tensor_v2")
    content = _dictionary({"x": rebuild + _plain((None, {"__doc__": "changed"})) + b"b"})
    path = _write_zip(tmp_path / "x.pth", content, {})
    with pytest.raises(DataError):
        read_torch(path)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        read_torch(str(tmp_path / "absent.pth"))
    text = tmp_path / "page.pth"
    text.write_text("<html>404</html>")
    with pytest.raises(DataError, match="no whole PyTorch weight file"):
        read_torch(str(text))
    with pytest.raises(DataError, match="no dictionary"):
        read_torch(_write_zip(tmp_path / "list.pth", _plain([1, 2]), {}))


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_files_written_by_pytorch(tmp_path: Path, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    tensors: dict[str, Any] = {
        "float": torch.randn(4, 3, 2).permute(2, 0, 1)[:, 1:],
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "half": torch.randn(5).half(),
        "bfloat": torch.randn(5).bfloat16(),
        "long": torch.arange(3),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
    }
    path = tmp_path / "net.pth"
    torch.save({"state_dict": tensors, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    read = read_torch(str(path))
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        expected = tensor.detach().float() if name == "bfloat" else tensor.detach()
        np.testing.assert_array_equal(read[name], expected.numpy())
