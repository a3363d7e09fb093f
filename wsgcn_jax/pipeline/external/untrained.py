"""A run of photos and labels without training a classifier: ImageNet's head gives the CAMs.

Of enough photos of persons a linear one is fitted to them, in seconds (`classifier.linear`).

What is left to train is the boundary network, on those very photos. `label_folder` then labels them
with the run's networks, as with any other run's:

    if nothing_given(given):
        config = untrained_config(config, images, labels, source.classes())
        run_stages(config, workdir)
        given = given._replace(run=workdir, cams=workdir / "cams")
    label_folder(source, given, config, masks)
"""

import os
from collections.abc import Sequence

from ml_collections import ConfigDict

from wsgcn_jax.pipeline.external.external_maps import ExternalMaps

STAGES = "data,classifier,cams,boundary"
"""What `label_folder` needs of a run."""


def nothing_given(given: ExternalMaps) -> bool:
    """Tells whether there are neither maps nor a run that could make some."""
    return given.cams is given.boundary is given.seeds is given.run is None


def untrained_config(
    config: ConfigDict,
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    classes: Sequence[str] | None = None,
) -> ConfigDict:
    """Turns a configuration into that of such a run.

    Args:
        config: how the rest is done, usually `configs/photos.py`.
        images: folder of the photos.
        labels: their list, `file,label label ...`; None: labels.csv beside them.
        classes: names in the order of their ids, background first; None: those of the labels.

    Returns:
        A locked copy; label with it, too: it says where the CAMs come from.
    """
    copy = config.copy_and_resolve_references().unlock()
    copy.data.update(
        source="folder",
        root=os.fspath(images),
        labels=None if labels is None else os.fspath(labels),
        classes=None if classes is None else tuple(classes[1:]),
        masks=None,
        train_split="train",
        pseudo_split="train",
        val_split=None,
        score_split=None,
    )
    copy.classifier.update(head="imagenet", epochs=0, init=None)
    copy.segmenter.presence = False
    copy.cams.sources = "imagenet"
    copy.stages = STAGES
    return copy.lock()
