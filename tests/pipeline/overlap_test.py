"""While a device computes one batch, the next one is read; never are two computed at once."""

import threading
import time
from types import SimpleNamespace

import numpy as np

from wsgcn_jax.pipeline import cams, predict
from wsgcn_jax.pipeline.saved_segmenter import Description, Segmenter
from wsgcn_jax.settings import ConfigDict

SIZE = (32, 32)
PHOTOS = 6


class _Device:
    """Computes a batch only once another one's first photo was read."""

    def __init__(self):
        self.read, self.at_once, self.most, self.overlaps = set(), 0, 0, False
        self._changed = threading.Condition()

    def photo(self, index):
        with self._changed:
            self.read.add(index)
            self._changed.notify_all()
        return np.zeros((*SIZE, 3), np.uint8)

    def compute(self, photos, grids, shape):
        with self._changed:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.overlaps |= self._changed.wait_for(lambda: len(self.read) > 2, timeout=20)
        time.sleep(0.05)  # time for another batch to come in, if it may
        with self._changed:
            self.at_once -= 1
        return np.zeros((len(grids), 1, *shape), np.float32)


class _Photos:
    def __init__(self, device):
        self.names = [str(index) for index in range(PHOTOS)]
        self.sizes, self.classes = [SIZE] * PHOTOS, ("background", "cat")
        self.labels = np.ones((PHOTOS, 1), bool)
        self._device = device

    def without_masks(self):
        return self

    def __getitem__(self, index):
        return SimpleNamespace(image=self._device.photo(index))


def test_cams_read_ahead(tmp_path, monkeypatch):
    device = _Device()
    monkeypatch.setattr(cams, "configured_program", lambda *_: device.compute)
    config = ConfigDict({"cams": {"batch_size": 2, "bucket": 32, "scales": (1.0,)}})
    config.data = ConfigDict({"pseudo_split": "train"})
    split = _Photos(device)
    context = SimpleNamespace(config=config, split=lambda _: split, folder=lambda _: tmp_path)
    assert not cams.run(context, tmp_path)
    assert device.overlaps and device.most == 1
    assert len(list(tmp_path.glob("*.npz"))) == PHOTOS


def test_the_segmenter_reads_ahead(tmp_path, monkeypatch):
    device = _Device()

    def program(photos, grids, shape):
        return np.moveaxis(device.compute(photos, grids, shape), 1, 3).repeat(2, 3)

    monkeypatch.setattr(predict, "multi_scale_probabilities", lambda *_: program)
    description = Description(
        ("background", "cat"), "any", 16, (1,), True, (1.0,), "mean", 64, 2, 32
    )
    segmenter = Segmenter(SimpleNamespace(variables=None), description, None)
    path = [tmp_path / f"{index}.png" for index in range(PHOTOS)].__getitem__
    assert not predict.predict(segmenter, [SIZE] * PHOTOS, device.photo, path, "masks")
    assert device.overlaps and device.most == 1
    assert len(list(tmp_path.glob("*.png"))) == PHOTOS
