"""The whole pipeline at its smallest, for the tests: a minute on two cores, scores mean nothing."""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the tiny setting: that of `shapes.py`, with smaller crops and fewer steps."""
    config = settings.drawn_shapes()
    config.data.update(num_train=6, num_val=3)
    config.classifier.update(crop=64, longer_side=(64, 96), batch_size=2, epochs=2)
    config.cams.update(scales=(1.0,), batch_size=2, bucket=160)
    config.boundary.update(crop=64, batch_size=2, epochs=2)
    config.graph.update(longer_side=64, bucket=64, batch_size=3)
    config.gcn.update(epochs=10)
    config.segmenter.update(
        crop=64, batch_size=2, epochs=2, eval_scales=(1.0,), eval_bucket=160, eval_batch_size=2
    )
    config.report.update(photos=2)
    return settings.fit_to(config, machine)
