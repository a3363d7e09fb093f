"""Weight files by their content: safetensors, and whatever is called something else."""

import json
import os

import numpy as np
import pytest

from wsgcn_jax.models.weight_files import read_weights
from wsgcn_jax.types import DataError

A = np.arange(6, dtype="<f4").reshape(2, 3)
HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [2], "data_offsets": [24, 28]},
    "c": {"dtype": "I64", "shape": [], "data_offsets": [28, 36]},
}
# 1.5 and -2 as bfloat16: the upper halves of 0x3FC00000 and 0xC0000000.
DATA = A.tobytes() + np.array([0x3FC0, 0xC000], "<u2").tobytes() + np.int64(-7).tobytes()


def _write(path, header=None, data=DATA):
    text = header if isinstance(header, bytes) else json.dumps(header or HEADER).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return str(path)


@pytest.mark.fault("safetensors called `.pth`", "they are read: content decides")
@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
def test_safetensors_by_any_name(tmp_path, name):
    read = read_weights(_write(tmp_path / name))
    assert list(read) == ["a", "b", "c"]
    np.testing.assert_array_equal(read["a"], A)
    np.testing.assert_array_equal(read["b"], [1.5, -2.0])
    assert read["b"].dtype == np.float32 and read["c"].shape == () and read["c"] == -7


def _with(**changes):
    return {"a": {**HEADER["a"], **changes}}


@pytest.mark.fault("a safetensors file whose offsets, shapes, types or names lie", "one line")
@pytest.mark.parametrize(
    ("header", "said"),
    [
        (_with(data_offsets=[16, 40]), "does not lie inside"),
        (_with(data_offsets=[-8, 16]), "a size that is none"),
        (_with(data_offsets=[0, 20]), "does not lie inside"),
        (_with(shape=[3, 3]), "does not lie inside"),
        (_with(shape=[2**40, 2**40]), "does not lie inside"),
        (_with(shape=[-2, -3]), "a size that is none"),
        (_with(shape=[True, 6]), "a size that is none"),
        (_with(dtype="F8_E4M3"), "F8_E4M3, which is not read"),
        ({name: HEADER["a"] for name in map(str, range(5000))}, "share their numbers"),
        (b'{"a": 1, "a": 2}', "given twice"),
        (b"{" * 100_000, "no whole safetensors file"),
        (b"{[1]}", "no whole safetensors file"),
        (b"{}x", "no whole safetensors file"),
    ],
)
def test_hostile_safetensors(tmp_path, header, said):
    data = DATA if header != _with(data_offsets=[16, 40]) else DATA[:30]
    with pytest.raises(DataError, match=said):
        read_weights(_write(tmp_path / "net.safetensors", header, data))


def test_files_cut_short(tmp_path):
    path = tmp_path / "net.safetensors"
    _write(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"net\.safetensors"):
            read_weights(str(path))
    with pytest.raises(DataError, match="cannot be opened"):
        read_weights(str(tmp_path / "absent"))
    with pytest.raises(DataError, match="cannot be opened"):
        read_weights(str(tmp_path))


@pytest.mark.fault("a pipe as weights", "one line; nothing waits")
def test_a_pipe_is_no_weight_file(tmp_path):
    os.mkfifo(tmp_path / "x.pth")
    with pytest.raises(DataError, match=r"x\.pth cannot be opened \(it is a pipe or a device\)"):
        read_weights(str(tmp_path / "x.pth"))
