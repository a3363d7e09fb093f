"""The default configuration, what machines change of it, and older names of keys."""

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference

from wsgcn_jax.settings.keys import KEYS

RENAMED = {
    "classifier.frozen_taps": "classifier.frozen_stages",
    "crf.boundary_labels": "crf.ir_labels",
    "crf.masks": "crf.post_process",
    "crf.seeds": "crf.partial_labels",
    "gcn.object_odds": "gcn.foreground_odds",
    "segmenter.frozen_taps": "segmenter.frozen_stages",
    "segmenter.rate_every": "segmenter.learning_rate_interval",
    "segmenter.test_batch_size": "segmenter.eval_batch_size",
    "segmenter.test_bucket": "segmenter.eval_bucket",
    "segmenter.test_longer_side": "segmenter.eval_longer_side",
    "segmenter.test_scales": "segmenter.eval_scales",
}
"""Keys of older configurations and their names here, for the error about an unknown key."""

MACHINES = ("cpu", "gpu", "tpu")
"""What a configuration can be suited to."""


def defaults() -> ConfigDict:
    """Returns every key with its default, unlocked, so that a configuration can change them.

    A ConfigDict keeps the types: text for a number is an error where it is written.
    """
    config = ConfigDict()
    for key in KEYS:
        *section, name = key.name.split(".")
        place = config
        for part in section:
            if part not in place:
                place[part] = ConfigDict()
            place = place[part]
        place[name] = (
            FieldReference(key.default, field_type=key.kind.type) if key.optional else key.default
        )
    return config


def fit_to(config: ConfigDict, machine: str | None) -> ConfigDict:
    """Sets batch sizes and number formats for a machine: `--config=configs/voc12.py:tpu`.

    CAMs and the graph part work on as many photos at a time as the machine's memory holds,
    whatever the configuration says.

    Args:
        config: unlocked; changed in place.
        machine: of `MACHINES`; None leaves the configuration as it is.

    Returns:
        The configuration, locked.

    Raises:
        ValueError: there is no such machine.
    """
    if machine is not None and machine not in MACHINES:
        raise ValueError(f"no preset {machine!r}; there are {', '.join(MACHINES)}")
    if machine is not None:
        config.cams.batch_size = config.graph.batch_size = None
    if machine in ("gpu", "tpu"):
        config.segmenter.update(bfloat16=True, eval_batch_size=16)
    return config.lock()


def _on_two_cores() -> ConfigDict:
    """Returns how networks small enough for two cores are trained, unlocked."""
    config = defaults()
    config.classifier.update(momentum=0.9, frozen_stages=0)
    config.boundary.update(learning_rate=0.05, momentum=0.9)
    config.segmenter.update(
        init="classifier",  # which has seen every photo's label
        output_stride=16,
        rates=(3, 6, 9, 12),
        balanced=True,
        frozen_stages=3,
        batch_size=8,
        learning_rate=0.002,
        head_learning_rate=0.001,
    )
    return config


def drawn_shapes() -> ConfigDict:
    """Returns settings for the embedded data set, unlocked."""
    config = _on_two_cores()
    config.data.val_split = "val"
    # Photos are enlarged: the mark that tells the classes apart is 15 pixels, one cell of a CAM.
    config.classifier.update(
        longer_side=(160, 256),
        crop=192,
        epochs=4,
        learning_rate=0.02,
        head_learning_rate=0.2,
    )
    config.cams.update(scales=(2.0,), batch_size=8, bucket=160)
    # A CAM is a disc round the mark; the CRF finds the object in it.
    config.crf.update(
        ir_labels=True, partial_labels=True, kernel="exact", longer_side=160, sigma_rgb=20.0
    )
    config.seeds.update(confident=1.0, low_alpha=2.0)
    config.boundary.update(
        foreground=0.5,
        background=0.4,
        crop=128,
        batch_size=16,
        epochs=3,
        radius=5,
    )
    config.graph.update(batch_size=8, bucket=160)
    config.segmenter.update(
        scales=(1.0, 1.75),  # as large as the classifier saw them
        crop=192,
        epochs=3,
        eval_scales=(1.5,),
        eval_bucket=160,
        eval_batch_size=8,
    )
    return config


def real_photos() -> ConfigDict:
    """Returns settings for real photos on a small machine, unlocked; `data` is the caller's.

    They were chosen on VOC 2012's animals (docs/results.md) and read no threshold off the data set:
    seeds and masks find theirs in each photo.
    """
    config = _on_two_cores()
    # ImageNet's head scores higher than a trained one, for names it knows. A linear classifier
    # speaks of the others, and tells the segmenter what a photo shows.
    config.classifier.update(
        epochs=0,
        linear=True,
        # What follows is for those who train it: --config.classifier.epochs=5.
        longer_side=(288, 480),
        crop=288,
        learning_rate=0.01,
        head_learning_rate=0.1,
    )
    config.cams.sources = "imagenet"
    config.cams.scales = (1.0, 0.5, 1.5, 1.75)  # 2 scores no higher and takes an eighth longer
    # These CAMs are never zero on the background: both readings lie higher than the published ones.
    config.crf.update(ir_labels=True, kernel="exact", longer_side=256)
    config.boundary.update(
        foreground=0.4,
        background=0.17,
        crop=288,
        batch_size=8,
        epochs=2,
    )
    config.graph.update(bucket=128)
    config.seeds.update(rule="walk")
    config.gcn.update(epochs=100, foreground_odds=2.0)
    config.segmenter.update(
        init=None,  # ImageNet's weights
        scales=(0.55, 0.95),  # nearly whole photos
        crop=320,
        epochs=12,
        presence=True,
        crf=True,
        eval_scales=(0.6, 0.85),
    )
    return config
