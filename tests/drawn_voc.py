"""A VOC folder of drawn photos: the embedded creatures under the names of VOC classes."""

from pathlib import Path

import numpy as np
from PIL import Image

from wsgcn_jax.data.labels import VOC_CLASSES
from wsgcn_jax.data.palette_png import write_mask
from wsgcn_jax.data.shapes import render

ANIMALS = ("cat", "cow", "dog", "horse", "sheep", "bird")


def write_voc(root: Path, *, count: int, size: tuple[int, int]) -> list[str]:
    """Writes photos, masks and annotations of one size; every list names them all.

    Returns:
        The photos' names.
    """
    lists = root / "ImageSets/Segmentation"
    for folder in (root / "JPEGImages", root / "SegmentationClass", root / "Annotations", lists):
        folder.mkdir(parents=True)
    ids = np.arange(256, dtype=np.uint8)
    ids[1 : len(ANIMALS) + 1] = [VOC_CLASSES.index(name) for name in ANIMALS]
    names = [f"2007_{index:06}" for index in range(count)]
    for index, name in enumerate(names):
        image, mask, labels = render(0, index)
        photo = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
        photo.save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        resized = Image.fromarray(ids[mask]).resize(size[::-1], Image.Resampling.NEAREST)
        write_mask(root / "SegmentationClass" / f"{name}.png", np.asarray(resized))
        objects = [f"<object><name>{ANIMALS[k]}</name></object>" for k in np.flatnonzero(labels)]
        text = f"<annotation>{''.join(objects)}</annotation>"
        (root / "Annotations" / f"{name}.xml").write_text(text)
    for split in ("train", "train_aug", "val"):
        (lists / f"{split}.txt").write_text("\n".join(names) + "\n")
    return names
