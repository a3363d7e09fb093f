"""The embedded data set: the whole road in minutes on two cores.

python -m experiments.train
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the embedded default."""
    config = default.get_config()
    config.classifier.update(
        longer_side=(96, 192),
        crop=128,
        epochs=8,
        learning_rate=0.01,
        head_learning_rate=0.1,
        momentum=0.9,
        frozen_taps=0,
    )
    config.cams.update(scales=(1.0, 2.0), batch_size=8, bucket=32)
    config.boundary.update(
        crop=128,
        batch_size=16,
        epochs=4,
        learning_rate=0.1,
        displacement_learning_rate=0.1,
        momentum=0.9,
        radius=5,
    )
    config.graph.update(batch_size=4)
    config.gcn.update(epochs=100)
    config.segmenter.update(
        output_stride=16,
        rates=(3, 6, 9, 12),
        crop=128,
        batch_size=16,
        epochs=10,
        learning_rate=0.01,
        head_learning_rate=0.1,
        test_scales=(1.0, 1.5),
        test_bucket=32,
        test_batch_size=8,
    )
    return config.lock()
