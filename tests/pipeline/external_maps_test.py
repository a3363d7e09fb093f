"""CAMs and boundary maps of other programs: what they say, and that they cannot do anything."""

import collections
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from wsgcn_jax.data import write_mask
from wsgcn_jax.pipeline.external_maps import read_boundary, read_cam, read_labelled_cam, read_seeds
from wsgcn_jax.resize import resize_map
from wsgcn_jax.types import DataError

CAM = np.random.default_rng(0).random((2, 5, 7), np.float32)


def _npy(path, content):
    np.save(path, np.array(content, object), allow_pickle=True)


def test_irnets_dictionaries(tmp_path):
    _npy(tmp_path / "a.npy", {"keys": np.array([7, 14]), "cam": CAM, "high_res": CAM[:, :1]})
    cam, keys = read_cam(tmp_path, "a")
    np.testing.assert_array_equal(cam, CAM)
    assert keys.tolist() == [8, 15]  # IRNet counts from 0, without background
    _npy(tmp_path / "b.npy", {"keys": np.array([7, 14]), "high_res": CAM})
    np.testing.assert_array_equal(read_cam(tmp_path, "b")[0], CAM)
    np.testing.assert_array_equal(read_labelled_cam(tmp_path, "b", [15]), CAM[1:])
    with pytest.raises(DataError, match=r"has the classes \[8, 15\], but the photo is labelled 3"):
        read_labelled_cam(tmp_path, "b", [3])


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


def test_tensors_inside_irnets_dictionaries(tmp_path):
    path = tmp_path / "a.npy"
    _npy(path, None)
    header = path.read_bytes()[: path.read_bytes().index(b"\x80")]
    tensors = {"keys": _TorchTensor(np.array([7, 14])), "cam": _TorchTensor(CAM)}
    path.write_bytes(header + _dump(tensors))
    cam, keys = read_cam(tmp_path, "a")
    np.testing.assert_array_equal(cam, CAM)
    assert keys.tolist() == [8, 15]
    whole = path.read_bytes()
    for end in range(0, len(whole), 101):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"a\.npy is refused"):
            read_cam(tmp_path, "a")


@pytest.mark.slow
def test_tensors_that_pytorch_pickles(tmp_path):
    torch = pytest.importorskip("torch")
    content = {"keys": torch.tensor([7, 14]), "cam": torch.tensor(CAM), "high_res": CAM}
    _npy(tmp_path / "a.npy", content)
    cam, keys = read_cam(tmp_path, "a")
    np.testing.assert_array_equal(cam, CAM)
    assert keys.tolist() == [8, 15]


class _Evil:
    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('executed').touch()",)


@pytest.mark.parametrize(
    "content",
    [
        {"keys": np.array([7, 14]), "cam": _Evil()},
        {"keys": np.array([7, 14]), "cam": CAM * 3},
        {"keys": np.array([7, 14]), "cam": CAM * np.nan},
        {"keys": np.array([7]), "cam": CAM},
        {"keys": np.array([-9, 14]), "cam": CAM},
        {"keys": np.array([7.5, 14]), "cam": CAM},
        {"keys": np.array([7, 14]), "cam": CAM[0]},
        {"cam": CAM},
        [1],
    ],
)
def test_other_cams_are_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    _npy(tmp_path / "a.npy", content)
    with pytest.raises(DataError, match=r"CAM .*a\.npy is refused"):
        read_cam(tmp_path, "a")
    assert not (tmp_path / "executed").exists()


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", cam=CAM.astype(np.float16), keys=np.array([3, 1]))
    cam, keys = read_cam(tmp_path, "a")
    np.testing.assert_allclose(cam, CAM, atol=1e-3)
    assert keys.tolist() == [3, 1]
    np.savez(tmp_path / "e.npz", CAM[0])
    np.testing.assert_array_equal(read_boundary(tmp_path, "e"), CAM[0])
    np.savez(tmp_path / "e.npz", edge=CAM[1], other=CAM)
    np.testing.assert_array_equal(read_boundary(tmp_path, "e"), CAM[1])
    for damage in (b"", b"PK\x03\x04rubbish", (tmp_path / "e.npz").read_bytes()[:90]):
        (tmp_path / "e.npz").write_bytes(damage)
        with pytest.raises(DataError, match=r"e\.npz is refused"):
            read_boundary(tmp_path, "e")
    with pytest.raises(DataError, match="missing"):
        read_boundary(tmp_path, "none")


def test_edge_pngs(tmp_path):
    grey = np.array([[0, 51], [255, 102]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_boundary(tmp_path, "a"), grey / 255, rtol=1e-6)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_boundary(tmp_path, "a"), grey / 255, rtol=1e-6)
    Image.fromarray(grey > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_boundary(tmp_path, "a"), grey > 100)
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="it is RGB, not grey"):
        read_boundary(tmp_path, "a")


def test_maps_are_averaged_where_they_shrink():
    line = np.zeros((16, 16), np.float32)
    line[:, 8] = 1
    small = resize_map(line, (4, 4))
    assert small.shape == (4, 4) and small[0].sum() * 4 == pytest.approx(1)
    np.testing.assert_array_equal(resize_map(line, (16, 16)), line)


def test_partial_labels_are_of_the_photos_size_and_classes(tmp_path):
    seeds = np.full((5, 7), 255, np.uint8)
    seeds[0], seeds[1] = 0, 8
    write_mask(tmp_path / "a.png", seeds)
    np.testing.assert_array_equal(read_seeds(tmp_path, "a", (8, 15), (5, 7)), seeds)
    with pytest.raises(DataError, match=r"a\.png are 7x5, but the photo is 5x7"):
        read_seeds(tmp_path, "a", (8,), (7, 5))
    with pytest.raises(DataError, match=r"a\.png have the classes \[8\], which the photo is not"):
        read_seeds(tmp_path, "a", (15,), (5, 7))
    with pytest.raises(DataError, match=r"partial labels .*b\.png is missing"):
        read_seeds(tmp_path, "b", (8,), (5, 7))
