"""Which photos count as the worst."""

import numpy as np

from wsgcn_jax.pipeline.evaluate import score_masks
from wsgcn_jax.types import Example


def test_the_worst_photos_are_worst_in_the_scored_classes():
    """A photo whose cat is right and whose chair is wrong is no bad photo of cats."""
    truth = np.repeat([[0, 1, 2]], 3, axis=0).astype(np.uint8)
    masks = {"chair wrong": truth.copy(), "cat half wrong": truth.copy(), "right": truth.copy()}
    masks["chair wrong"][truth == 2] = 0
    masks["cat half wrong"][1:, 1] = 2
    photos = [Example(name, np.zeros((3, 3, 3), np.uint8), np.ones(2), truth) for name in masks]

    class Photos(list):
        classes = ("background", "cat", "chair")

    def worst(classes):
        split = Photos(photos)
        return score_masks(split, lambda e: masks[e.name], "test", set(), classes)[1]

    assert worst([1]) == ["cat half wrong", "chair wrong", "right"]
    assert worst([2])[0] == "chair wrong"
    assert worst([0, 1, 2])[-1] == "right"
