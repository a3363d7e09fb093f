"""The converter's command: what it writes, says and refuses."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.convert import main
from wsgcn_jax.models import published_kinds, resnet
from wsgcn_jax.pipeline.networks import load_variables
from wsgcn_jax.types import DataError

TINY = resnet.ResNet((1, 1, 1, 1))


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes a safetensors file of a tiny ResNet, changed by whoever calls."""
    kind = published_kinds.KINDS["resnet50"]._replace(
        marks=("conv1.weight", "layer3.0.conv1.weight"), network=lambda _: TINY
    )
    monkeypatch.setitem(published_kinds.KINDS, "resnet50", kind)
    photo = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(TINY.init, jax.random.key(0), photo)
    rng = np.random.default_rng(0)
    tensors = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        name = resnet.torch_name([key.key for key in keys[1:]])
        shape = (*leaf.shape[::-1][:2], *leaf.shape[:2]) if leaf.ndim == 4 else leaf.shape
        tensors[name] = rng.normal(size=shape).astype(np.float32)

    def write(drop=(), **extra):
        header, data = {}, b""
        kept = {name: x for name, x in tensors.items() if name not in drop}
        for name, x in (kept | extra).items():
            end = len(data) + x.nbytes
            header[name] = {"dtype": "F32", "shape": x.shape, "data_offsets": [len(data), end]}
            data += x.tobytes()
        text = json.dumps(header).encode()
        path = tmp_path / "net.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        return str(path), tensors

    return write


def test_a_file_becomes_a_folder_that_networks_load(file, tmp_path, capsys):
    path, tensors = file(extra=np.zeros((2, 3), np.float32))
    target = tmp_path / "out"
    assert main([path, str(target)]) == 0
    said = capsys.readouterr()
    assert "unexpected, left out: extra [2, 3]" in said.err
    assert said.out == f"{target}: torchvision's ResNet-50 (resnet50)\n"
    variables = load_variables(target, TINY)
    kernel = variables["params"]["layer2_0"]["conv2"]["kernel"]
    np.testing.assert_array_equal(kernel, tensors["layer2.0.conv2.weight"].transpose(2, 3, 1, 0))
    stem = variables["batch_stats"]["bn1"]["var"]
    np.testing.assert_array_equal(stem, tensors["bn1.running_var"])
    assert main([path, str(target)]) == 0  # its own folder may be written again
    with pytest.raises(DataError, match="out: weights of another network") as caught:
        load_variables(target, resnet.ResNet((1, 1, 1, 2)))
    assert len(str(caught.value)) < 400


def test_what_is_missing_is_listed_and_nothing_is_written(file, tmp_path, capsys):
    path, _ = file(drop=["layer2.0.bn1.bias", "conv1.weight"])
    target = tmp_path / "out"
    assert main([path, str(target)]) == 2 and not target.exists()
    assert "of no known kind" in capsys.readouterr().err
    assert main([path, str(target), "--as", "resnet50"]) == 2 and not target.exists()
    said = capsys.readouterr().err
    assert "missing: layer2.0.bn1.bias [128]" in said
    assert "missing: conv1.weight [64, 3, 7, 7]" in said
    assert "error: " in said and "2 tensors are missing" in said


def test_other_folders_and_files_are_left_alone(file, tmp_path, capsys):
    path, _ = file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    said = partial(lambda: capsys.readouterr().err)
    assert main([path, str(tmp_path / "mine")]) == 2 and "no converted folder" in said()
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"
    assert main([str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    assert "cannot be opened" in said()
