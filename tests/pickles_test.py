"""The pickle machine: NumPy's arrays come out whole, and no file can run, multiply or crash."""

import io
import pickle
import struct

import numpy as np
import pytest

from wsgcn_jax.numpy_pickles import NUMPY_CALLS, Array, read_npy_object
from wsgcn_jax.pickles import read_pickle

VALUES = {
    "rows": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "ids": np.array([3, 250], np.uint8),
    "flags": np.array([True, False]),
    "big": np.array([1, -2], ">i4"),
    "none": np.zeros((0, 3)),
    "single": np.float32(0.5),
    7: [1, -1, 2**70, 1.5, None, True, "ä", b"\xff", (1,), (1, 2, 3, 4)],
}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_and_containers_of_every_protocol(protocol):
    read = read_pickle(io.BytesIO(pickle.dumps(VALUES, protocol)), NUMPY_CALLS)
    assert list(read) == list(VALUES)
    for name, value in VALUES.items():
        if isinstance(value, np.ndarray):
            ours = read[name].get()
            assert ours.dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
            np.testing.assert_array_equal(ours, value)
    assert read["single"] == 0.5
    assert read[7][:7] == VALUES[7][:7] and read[7][8:] == VALUES[7][8:]


def test_npy_of_one_object(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, {"keys": np.array([1, 2])}, allow_pickle=True)
    np.testing.assert_array_equal(read_npy_object(path.read_bytes())["keys"].get(), [1, 2])
    for other in (np.zeros(3), np.array([{}, {}], object)):
        np.save(path, other, allow_pickle=True)
        with pytest.raises(ValueError, match="not one object"):
            read_npy_object(path.read_bytes())


def _number(value):
    return b"J" + struct.pack("<i", value)


@pytest.mark.fault("a pickle that calls, imports or changes anything", "refused; nothing runs")
@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n.",  # a name that is not on the list
        b"\x8c\x02os\x8c\x06system\x93.",
        b"cnumpy\nndarray\n)\x81.",  # makes an object without calling
        b"(ios\nsystem\n.",  # older instructions
        b"K\x01K\x02R.",  # calls a number
        b"}K\x01R.",
        b"cnumpy\nndarray\n}b.",  # sets attributes of what is on the list
        b"]}b.",
        b"K\x01Q.",  # outside id
        b"}" + b")" + b"\x85" * 100_000 + b"K\x01s.",  # a key that cannot be hashed
        b"(K\x01K\x02.",  # leftovers
        b"t.",
        b"0.",
        b"hx.",
    ],
)
def test_hostile_code_is_refused(code):
    with pytest.raises((ValueError, LookupError)):
        read_pickle(io.BytesIO(b"\x80\x02" + code), NUMPY_CALLS)


@pytest.mark.fault("a pickle that asks for gigabytes in a few bytes", "nothing is spent")
def test_a_distant_memo_costs_nothing():
    """The standard machine makes room for every number up to this one."""
    code = b"\x80\x02K\x07r\xff\xff\xff\x7f0" + b"."
    with pytest.raises(ValueError):
        read_pickle(io.BytesIO(code), NUMPY_CALLS)
    code = b"\x80\x02K\x07r\xff\xff\xff\x7f."
    assert read_pickle(io.BytesIO(code), NUMPY_CALLS) == 7


@pytest.mark.fault("a pickle cut short anywhere", "refused")
def test_every_truncation_is_an_error():
    whole = pickle.dumps(VALUES, 4)
    for end in range(len(whole)):
        with pytest.raises((ValueError, LookupError)):
            read_pickle(io.BytesIO(whole[:end]), NUMPY_CALLS)


@pytest.mark.fault("a pickled array larger than its data", "refused")
def test_arrays_that_do_not_fit_their_data():
    array = Array()
    for shape, data in (((3,), bytes(8)), ((-1, -2), bytes(8)), ((2,), b""), (("2",), bytes(8))):
        dtype = NUMPY_CALLS["numpy", "dtype"]("f4")
        array.set_state((1, shape, dtype, False, data))
        with pytest.raises((ValueError, TypeError)):
            array.get()
    for code in ("V8", "U4", "f4,f4", "O4", "M8"):
        with pytest.raises(ValueError):
            NUMPY_CALLS["numpy", "dtype"](code)
