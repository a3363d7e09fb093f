"""The embedded data set: the whole pipeline in minutes on two cores.

    python -m experiments.train

takes five minutes; expect 75 mIoU of the pseudo labels (GCN + CRF) and 50 of the segmenter on val.
"""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the embedded default."""
    config = settings.defaults()
    config.data.val_split = "val"
    # Photos are enlarged: the mark that tells the classes apart is 15 pixels, one cell of a CAM.
    config.classifier.update(
        longer_side=(160, 256),
        crop=192,
        epochs=4,
        learning_rate=0.02,
        head_learning_rate=0.2,
        momentum=0.9,
        frozen_stages=0,
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
        learning_rate=0.05,
        momentum=0.9,
        radius=5,
    )
    config.graph.update(batch_size=8, bucket=160)
    # The classifier has seen every photo's label; ImageNet knows nothing of this data set.
    config.segmenter.update(
        init="classifier",
        output_stride=16,
        rates=(3, 6, 9, 12),
        balanced=True,
        frozen_stages=3,
        scales=(1.0, 1.75),  # as large as the classifier saw them
        crop=192,
        batch_size=8,
        epochs=3,
        learning_rate=0.002,
        head_learning_rate=0.001,
        eval_scales=(1.5,),
        eval_bucket=160,
        eval_batch_size=8,
    )
    return settings.fit_to(config, machine)
