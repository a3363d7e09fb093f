"""What a run is said to cost: it grows with photos and their size, and is bounded in memory."""

import pytest

from configs import photos, voc12
from wsgcn_jax.pipeline.estimate import gigabytes, megapixels, seconds_of_stages, speed
from wsgcn_jax.pipeline.training import training_steps


def _seconds(count, size=(375, 500)):
    pixels = megapixels([size] * count)
    return seconds_of_stages(photos.get_config(), count, count, pixels, 0.0)


@pytest.mark.fault(
    "any set of photos",
    "their number, and about how long and how much memory they take, is said first",
    section="Hosts, devices and memory",
)
def test_time_grows_with_the_photos_and_with_their_size():
    few, many, large = _seconds(30), _seconds(3000), _seconds(30, (750, 1000))
    assert few["classifier"] == large["classifier"] < many["classifier"]
    for stage in ("cams", "pseudo_labels"):
        assert many[stage] == pytest.approx(100 * few[stage])
        assert large[stage] == pytest.approx(4 * few[stage])
    assert sum(few.values()) < 720


@pytest.mark.fault(
    "photos of any number up to 6000x8000",
    "memory is said before it is spent, and stays below 12 GB",
    section="Hosts, devices and memory",
)
@pytest.mark.parametrize("config", [photos.get_config(), voc12.get_config()])
def test_memory_is_bounded_whatever_the_photos(config):
    needed = gigabytes(config, [(768, 1024)] * 9 + [(1024, 1024)], 48.0)
    assert needed > 2
    assert config.backbone.name != "efficientnet_lite0" or needed < 12


@pytest.mark.fault(
    "{count} photos for the {name}",
    "it learns in {steps} steps",
    section="Hosts, devices and memory",
)
@pytest.mark.parametrize(
    ("name", "count", "steps"),
    [
        ("classifier", 10, 60),
        ("classifier", 1000, 312),
        ("classifier", 10000, 1500),
        ("boundary", 24, 40),
        ("segmenter", 10000, 3000),
    ],
)
def test_training_follows_the_number_of_photos(name, count, steps):
    config = photos.get_config()
    config.classifier.epochs = 5  # by itself its head alone is fitted
    assert training_steps(config[name], count) == steps


def test_a_machine_is_as_fast_as_its_products():
    ticks = iter([0.0, 2.0, 2.0, 3.0, 3.0, 5.0])
    assert speed(lambda: next(ticks)) == pytest.approx(2 * 1024**3 / 200e9)
