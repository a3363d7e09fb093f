"""Node features without a boundary network; partial labels made elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs import test as tiny
from wsgcn_jax import data
from wsgcn_jax.data.class_list import read_classes
from wsgcn_jax.pipeline.external.external_maps import ExternalMaps
from wsgcn_jax.pipeline.external.label_folder import label_folder
from wsgcn_jax.pipeline.graph_inputs import plain_features
from wsgcn_jax.pipeline.label_batches import Labelled


def test_plain_features_are_even_and_ignore_the_padding():
    rgb = jax.random.uniform(jax.random.key(0), (14, 17, 3))
    alone = plain_features(rgb, jnp.ones((14, 17), bool))
    assert abs(float(alone.mean())) < 0.1 and 0.8 < float(alone.std()) < 1.2
    # Nodes of another colour or place have other features.
    flat = np.asarray(alone).reshape(-1, alone.shape[-1])
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1) + 9 * np.eye(len(flat))
    assert apart.min() > 0.5
    padded = jnp.pad(rgb, ((0, 2), (0, 3), (0, 0)), constant_values=0.5)
    valid = jnp.zeros((16, 20), bool).at[:14, :17].set(True)
    among = jax.jit(plain_features)(padded, valid)
    np.testing.assert_allclose(among[:14, :17], alone, atol=1e-4)


def test_labels_follow_the_partial_labels_that_are_given(tmp_path, capsys):
    """A photo of two equal boxes: the one that is seeded becomes the object."""
    boxes = np.zeros((2, 64, 80), bool)
    boxes[0, 16:48, 8:32] = boxes[1, 16:48, 48:72] = True
    for folder in ("photos", "edges", "seeds"):
        (tmp_path / folder).mkdir()
    grown = np.pad(boxes.any(0), 2)
    grown = grown[4:, 2:-2] | grown[:-4, 2:-2] | grown[2:-2, 4:] | grown[2:-2, :-4]
    outline = (grown & ~boxes.any(0)).astype(np.uint8) * 255
    rgb = np.where(boxes.any(0)[..., None], 220, 30) * np.ones(3, int)
    for name, box in zip("ab", boxes, strict=True):
        Image.fromarray(rgb.astype(np.uint8)).save(tmp_path / f"photos/{name}.png")
        Image.fromarray(outline).save(tmp_path / f"edges/{name}.png")
        seeds = np.full(box.shape, 255, np.uint8)
        seeds[:8] = seeds[-8:] = 0
        seeds[box] = 1
        seeds[boxes.any(0) & ~box] = 0
        data.write_mask(tmp_path / f"seeds/{name}.png", seeds)
    (tmp_path / "photos/labels.csv").write_text("a.png,cat\nb.png,cat\nc.png,\n")
    # Without any class: all background, without maps of its own.
    Image.fromarray(rgb.astype(np.uint8)).save(tmp_path / "photos/c.png")
    source = data.FolderSource(str(tmp_path / "photos"), tmp_path / "photos/labels.csv")
    config = tiny.get_config()
    config.crf.post_process = False
    config.graph.update(walk="dense", steps=16, longer_side=None, bucket=16, batch_size=2)
    config.gcn.epochs = 60
    given = ExternalMaps(None, tmp_path / "edges", tmp_path / "seeds", None)
    assert label_folder(source, given, config, tmp_path / "out") == (3, [])
    for name, box in zip("ab", boxes, strict=True):
        mask = data.read_mask(tmp_path / f"out/{name}.png")
        assert (mask[box] == 1).mean() > 0.9
        assert (mask[boxes.any(0) & ~box] == 0).mean() > 0.9
    assert not data.read_mask(tmp_path / "out/c.png").any()
    assert "3 photos, 1 class: cat 2, without any 1\n" in capsys.readouterr().err


@pytest.fixture
def one_photo(tmp_path, monkeypatch):
    """A labelled photo with maps, whose scores are given instead of computed."""
    for folder in ("photos", "edges", "cams", "regions"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(tmp_path / "photos/a.png")
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(tmp_path / "edges/a.png")
    np.save(tmp_path / "cams/a.npy", np.ones((1, 20, 24)))
    (tmp_path / "photos/labels.csv").write_text("a.png,cat\n")
    source = data.FolderSource(str(tmp_path / "photos"), tmp_path / "photos/labels.csv")
    config = tiny.get_config()

    def label(scores, regions):
        def batches(names, sizes, present, image, inputs, write, output, config):
            del image, inputs, output, config
            assert (list(names), list(sizes)) == (["a"], [(20, 24)]) and present.all()
            ids, none = np.array([0, 1], np.uint8), np.zeros((5, 6), np.uint8)
            best = np.kron(scores.argmax(0), np.ones((2, 2))).astype(np.uint8)
            write(0, Labelled(ids, none, none, none, none, scores, best))
            return []

        monkeypatch.setattr("wsgcn_jax.pipeline.external.label_folder.label_batches", batches)
        maps = ExternalMaps(tmp_path / "cams", tmp_path / "edges", None, None, regions)
        out = tmp_path / "out"
        assert label_folder(source, maps, config, out) == (1, [])
        assert read_classes(out) == ("background", "cat")
        return data.read_mask(out / "a.png")

    return label


def test_regions_vote_at_the_photos_size(one_photo, tmp_path):
    region = np.zeros((20, 24), np.uint8)
    region[4:16, 4:20] = 1
    Image.fromarray(region).save(tmp_path / "regions/a.png")
    rng = np.random.default_rng(0)
    # Cat is a little likelier within the region, pixel by pixel a matter of luck.
    cat = 0.5 + rng.uniform(-0.3, 0.3, (10, 12)) + np.where(region[::2, ::2], 0.1, -0.2)
    scores = np.stack([1 - cat, cat]).astype(np.float32)
    assert set(np.unique(one_photo(scores, None)[region > 0])) == {0, 1}
    assert (one_photo(scores, tmp_path / "regions")[region > 0] == 1).all()


@pytest.mark.fault("maps that lead to a mask without an object", "a warning that names the photos")
def test_a_mask_without_an_object_is_reported(one_photo, capsys):
    scores = np.stack([np.ones((10, 12)), np.zeros((10, 12))]).astype(np.float32)
    assert not one_photo(scores, None).any()
    assert "1 of 1 masks of labelled photos hold no object: a;" in capsys.readouterr().err
