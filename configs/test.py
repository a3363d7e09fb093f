"""The whole pipeline at its smallest, for the tests: a minute on two cores, scores mean nothing."""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the tiny setting: that of `shapes.py`, with smaller crops and fewer steps."""
    config = settings.defaults()
    config.data.update(num_train=6, num_val=3, val_split="val")
    config.classifier.update(
        longer_side=(64, 96),
        crop=64,
        batch_size=2,
        epochs=2,
        learning_rate=0.02,
        head_learning_rate=0.2,
        momentum=0.9,
        frozen_stages=0,
    )
    config.cams.update(scales=(1.0,), batch_size=2, bucket=160)
    config.crf.update(
        ir_labels=True, partial_labels=True, kernel="exact", longer_side=160, sigma_rgb=20.0
    )
    config.seeds.update(confident=1.0, low_alpha=2.0)
    config.boundary.update(
        foreground=0.5,
        background=0.4,
        crop=64,
        batch_size=2,
        epochs=2,
        learning_rate=0.05,
        momentum=0.9,
        radius=5,
    )
    config.graph.update(longer_side=64, bucket=64, batch_size=3)
    config.gcn.update(epochs=10)
    config.segmenter.update(
        init="classifier",
        output_stride=16,
        rates=(3, 6, 9, 12),
        balanced=True,
        frozen_stages=3,
        scales=(1.0, 1.75),
        crop=64,
        batch_size=2,
        epochs=2,
        learning_rate=0.002,
        head_learning_rate=0.001,
        eval_scales=(1.0,),
        eval_bucket=160,
        eval_batch_size=2,
    )
    config.report.update(photos=2)
    return settings.fit_to(config, machine)
