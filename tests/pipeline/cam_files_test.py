"""CAMs of other programs: what is recognised, what is refused, and that nothing in them runs."""

import collections
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from wsgcn_jax.data import write_mask
from wsgcn_jax.pipeline.external.cam_files import read_cams
from wsgcn_jax.pipeline.external.map_files import Facts
from wsgcn_jax.types import DataError

SIZE = (20, 28)
CAM = np.random.default_rng(0).random((2, 5, 7), np.float32)
FACTS = Facts((8, 15), 21, SIZE)
EIGHT = FACTS._replace(labels=(8,))


def _npy(path, content):
    np.save(path, np.array(content, object), allow_pickle=True)


def _keys(*keys):
    return np.array(keys)


FORMS = {
    "irnet": ({"keys": _keys(7, 14), "cam": CAM, "high_res": CAM[:, :1]}, "IRNet's cam", "from 0"),
    "irnet high_res": ({"keys": _keys(7, 14), "high_res": CAM}, "IRNet's high_res", "from 0"),
    "irnet, more classes than the photo has": (
        {"keys": _keys(3, 14, 7), "cam": CAM[[0, 1, 0]]},
        "IRNet's cam",
        "from 0",
    ),
    "clip-es": ({"keys": _keys(7, 14), "attn_highres": CAM}, "CLIP-ES's attn_highres", "from 0"),
    "clip-es with background": (
        {"keys": _keys(0, 8, 15), "attn_highres": CAM},
        "CLIP-ES's attn_highres",
        "with background",
    ),
    "seam": ({7: CAM[0], 14: CAM[1]}, "{class: map}", "from 0"),
    "seam of all classes": ({k: CAM[k % 2 ^ 1] for k in range(20)}, "{class: map}", "from 0"),
    "psa after its crf": (
        {0: 1 - CAM[0], 8: CAM[0], np.int64(15): CAM[1]},
        "{class: map}",
        "with background",
    ),
    "plain": (CAM, "an array", "those of the photo's labels, in order"),
    "plain, all classes": (
        np.eye(20, dtype=np.float32)[[7, 14]].T @ CAM.reshape(2, -1),
        "an array",
        "all without background",
    ),
}


@pytest.mark.fault("CAMs: {form}", "they are recognised, and what they were taken for is said")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("half", [False, True])
def test_forms_are_known_by_their_content(tmp_path, form, half):
    content, writer, counted = FORMS[form]

    def stored(x):
        return x.astype(np.float16) if half and x.dtype == np.float32 else x

    if isinstance(content, dict):
        _npy(tmp_path / "a.npy", {key: stored(value) for key, value in content.items()})
    else:
        np.save(tmp_path / "a.npy", stored(content.reshape(len(content), 5, 7)))
    cams = read_cams(tmp_path, "a", FACTS)
    expected = CAM if form != "irnet, more classes than the photo has" else CAM[[0, 1]]
    np.testing.assert_allclose(cams.maps, expected, atol=1e-3 if half else 0)
    assert cams.maps.dtype == np.float32
    assert cams.form.startswith(writer) and f"class ids {counted}; values as they are" in cams.form


@pytest.mark.fault(
    "CAM files whose class numbers may count from 0 or with background",
    "the photo's labels decide; where neither fits, it is left out",
)
def test_the_photos_labels_decide_how_ids_are_counted(tmp_path):
    """{0, 8}: an aeroplane and a chair from 0, or a cat and its background."""
    _npy(tmp_path / "a.npy", {0: CAM[0], 8: CAM[1]})
    np.testing.assert_array_equal(read_cams(tmp_path, "a", EIGHT).maps, CAM[1:])
    cams = read_cams(tmp_path, "a", EIGHT._replace(labels=(1, 9)))
    np.testing.assert_array_equal(cams.maps, CAM)
    with pytest.raises(
        DataError, match=r"classes \[1, 9\], counted from 0, .* is labelled 3: corr"
    ):
        read_cams(tmp_path, "a", EIGHT._replace(labels=(3,)))


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", cam=CAM.astype(np.float16), keys=_keys(15, 8))
    np.testing.assert_allclose(read_cams(tmp_path, "a", FACTS).maps, CAM[::-1], atol=1e-3)
    np.savez(tmp_path / "b.npz", CAM)
    np.testing.assert_array_equal(read_cams(tmp_path, "b", FACTS).maps, CAM)


@pytest.mark.fault("pseudo labels as PNG for CAMs (WeCLIP)", "each class's area is its map")
def test_pseudo_labels_as_masks(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[4:9, 3:8], mask[12:, 20:], mask[0] = 8, 12, 255
    write_mask(tmp_path / "a.png", mask)
    cams = read_cams(tmp_path, "a", FACTS)
    np.testing.assert_array_equal(cams.maps, [mask == 8, mask == 15])
    assert cams.form.startswith("pseudo labels as a PNG")


@pytest.mark.fault(
    "a black and white PNG for CAMs, of a photo with labels", "refused: 255 is unknown"
)
def test_a_black_and_white_mask_has_no_class(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[:5] = 255
    write_mask(tmp_path / "a.png", mask)
    with pytest.raises(DataError, match=r"a\.png is refused .*only 0 and 255.* write class ids"):
        read_cams(tmp_path, "a", FACTS)


@pytest.mark.fault(
    "CAM values outside 0..1",
    "divided by their maximum where the writer is known, else the photo is left out",
)
def test_values_are_normalised_where_the_writer_is_known(tmp_path):
    strange = CAM * 3 - 0.5
    _npy(tmp_path / "a.npy", {7: strange[0], 14: strange[1]})
    cams = read_cams(tmp_path, "a", FACTS)
    expected = np.maximum(strange, 0)
    np.testing.assert_allclose(cams.maps, expected / expected.max((1, 2), keepdims=True), rtol=1e-6)
    assert cams.form.endswith("values divided by each map's maximum")
    np.save(tmp_path / "b.npy", strange)
    with pytest.raises(DataError, match=r"b\.npy is refused \(values lie outside 0..1, in -0"):
        read_cams(tmp_path, "b", FACTS)


FIT = ((20, 28), (2, 3), (5, 7), (6, 8), (40, 56))
OTHER = ((28, 20), (12, 12), (5, 14), (60, 84), (0, 3))


@pytest.mark.fault(
    "CAMs of another size, or of another shape than the photo",
    "any size is taken; another shape leaves the photo out",
)
@pytest.mark.parametrize("shape", (*FIT, *OTHER))
def test_any_resolution_but_the_photos_shape(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones((2, *shape), np.float32))
    if shape in FIT:
        assert read_cams(tmp_path, "a", FACTS).maps.shape == (2, *shape)
    else:
        with pytest.raises(DataError, match=r"a\.npy is refused \(it is"):
            read_cams(tmp_path, "a", FACTS)


class _TorchTensor:
    """Pickles as a PyTorch tensor does outside PyTorch's files, as IRNet's are."""

    def __init__(self, array):
        kind, code = {"f": ("FloatStorage", "f"), "i": ("LongStorage", "q")}[array.dtype.kind]
        head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        flat = array.reshape(-1).tolist()
        fields = [b"X\x07\x00\x00\x00storage", b"ctorch\n" + kind.encode() + b"\n"]
        fields += [pickle.dumps(x, 2)[2:-1] for x in ("1", "cpu", len(flat), None)]
        head += [b"\x80\x02(" + b"".join(fields) + b"tQ.", pickle.dumps(["1"], 2)]
        self.file = b"".join(head) + struct.pack(f"<q{len(flat)}{code}", len(flat), *flat)
        self.shape, self.strides = array.shape, tuple(n // array.itemsize for n in array.strides)


def _dump(content):
    """Pickles a dictionary whose tensors call names that this process need not have."""

    def tensor(x):
        storage = b"ctorch.storage\n_load_from_bytes\n(" + pickle.dumps(x.file, 3)[2:-1] + b"tR"
        window = [pickle.dumps(v, 3)[2:-1] for v in (0, x.shape, x.strides, False)]
        hooks = pickle.dumps(collections.OrderedDict(), 3)[2:-1]
        parts = b"".join([storage, *window, hooks])
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + parts + b"tR"

    entries = [
        pickle.dumps(k, 3)[2:-1]
        + (tensor(v) if isinstance(v, _TorchTensor) else pickle.dumps(v, 3)[2:-1])
        for k, v in content.items()
    ]
    return b"\x80\x03}(" + b"".join(entries) + b"u."


@pytest.mark.fault("IRNet's files with PyTorch's tensors", "they are read without PyTorch")
def test_tensors_inside_irnets_dictionaries(tmp_path):
    path = tmp_path / "a.npy"
    _npy(path, None)
    header = path.read_bytes()[: path.read_bytes().index(b"\x80")]
    tensors = {"keys": _TorchTensor(np.array([7, 14])), "cam": _TorchTensor(CAM)}
    path.write_bytes(header + _dump(tensors))
    np.testing.assert_array_equal(read_cams(tmp_path, "a", FACTS).maps, CAM)
    whole = path.read_bytes()
    for end in range(0, len(whole), 101):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"a\.npy is refused"):
            read_cams(tmp_path, "a", FACTS)


@pytest.mark.slow
def test_tensors_that_pytorch_pickles(tmp_path):
    torch = pytest.importorskip("torch")
    content = {"keys": torch.tensor([7, 14]), "cam": torch.tensor(CAM), "high_res": CAM}
    _npy(tmp_path / "a.npy", content)
    np.testing.assert_array_equal(read_cams(tmp_path, "a", FACTS).maps, CAM)


class _Evil:
    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('executed').touch()",)


@pytest.mark.fault(
    "CAMs with NaN, fewer maps than classes, numbers that repeat, another form",
    "the photo is left out",
)
@pytest.mark.fault(
    "a CAM file that would run code",
    "the photo is left out; nothing runs",
    section="Untrusted files",
)
@pytest.mark.parametrize(
    "content",
    [
        {"keys": np.array([7, 14]), "cam": _Evil()},
        {"keys": np.array([7, 14]), "cam": CAM * np.nan},
        {"keys": np.array([7]), "cam": CAM},
        {"keys": np.array([-9, 14]), "cam": CAM},
        {"keys": np.array([7.5, 14]), "cam": CAM},
        {"keys": np.array([7, 14]), "cam": CAM[0]},
        {"keys": np.array([7, 7]), "cam": CAM},
        {"keys": np.array([7, 14]), "cam": [[0.5] * 7] * 5},
        {"keys": [7, 14], "cam": CAM},
        {"keys": np.array([7, 14], object), "cam": CAM},
        {"keys": np.array([7, 14]), "cams": CAM},
        {"cam": CAM},
        {7: CAM[0], 14: CAM[1, :4]},
        {7: CAM, 14: CAM},
        {7: CAM[0], "14": CAM[1]},
        {},
        None,
        [1],
    ],
)
def test_other_cams_are_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    _npy(tmp_path / "a.npy", content)
    with pytest.raises(DataError, match=r"CAM .*a\.npy is refused"):
        read_cams(tmp_path, "a", FACTS)
    assert not (tmp_path / "executed").exists()


def _stride_0(tmp_path):
    """A tensor that shows one number ten thousand million times."""
    tensor = _TorchTensor(np.array([7, 14]))
    many = _TorchTensor(np.zeros((1, 1, 1), np.float32))
    many.shape, many.strides = (2, 70_000, 70_000), (0, 0, 0)
    _npy(tmp_path / "a.npy", None)
    header = (tmp_path / "a.npy").read_bytes()
    header = header[: header.index(b"\x80")]
    (tmp_path / "a.npy").write_bytes(header + _dump({"keys": tensor, "cam": many}))


def _keys_that_share_themselves(tmp_path):
    """A dictionary whose key is a tuple of the same tuple twice, a hundred levels deep."""
    _npy(tmp_path / "a.npy", None)
    header = (tmp_path / "a.npy").read_bytes()
    header = header[: header.index(b"\x80")]
    key = b")" + b"q\x00h\x00\x86" * 100
    (tmp_path / "a.npy").write_bytes(header + b"\x80\x02}" + key + b"K\x01s.")


def _ordered_keys_that_share_themselves(tmp_path):
    _npy(tmp_path / "a.npy", None)
    header = (tmp_path / "a.npy").read_bytes()
    header = header[: header.index(b"\x80")]
    key = b")" + b"q\x00h\x00\x86" * 100
    pairs = b"]" + key + b"K\x01\x86a"
    code = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."
    (tmp_path / "a.npy").write_bytes(header + code)


def _npz_that_unpacks(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", cam=np.zeros((2, 5, 700_000)), keys=_keys(8, 15))


def _header_of_a_giant(tmp_path):
    np.save(tmp_path / "a.npy", CAM)
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data.replace(b"(2, 5, 7), }   ", b"(20, 50000, 7)}"))


def _too_large(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 1000, 1400)))


@pytest.mark.fault(
    "a small CAM file that would cost gigabytes: strides of 0, keys that share themselves, "
    "a zip bomb, a header that lies",
    "refused within 16 MB",
    section="Untrusted files",
)
@pytest.mark.parametrize(
    "make",
    [
        _stride_0,
        _keys_that_share_themselves,
        _ordered_keys_that_share_themselves,
        _npz_that_unpacks,
        _header_of_a_giant,
        _too_large,
    ],
)
def test_small_files_cost_little(tmp_path, make):
    make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"CAM .*a\.np[yz] "):
            read_cams(tmp_path, "a", FACTS)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.fault(
    "a pipe as CAM file",
    "the photo is left out; nothing waits",
    section="Untrusted files",
)
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"a\.npy cannot be read: it is a pipe or a device"):
        read_cams(tmp_path, "a", FACTS)


def test_a_runs_own_cams_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", cam=CAM.astype(np.float16), class_ids=np.array([8, 15], np.uint8))
    np.testing.assert_allclose(read_cams(tmp_path, "a", FACTS).maps, CAM, atol=1e-3)
