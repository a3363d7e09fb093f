"""Anyone's real photos, ten or ten thousand, on any machine.

    python -m experiments.train --photos=DIR [--labels=labels.csv]

DIR holds the photos; their labels are in a list or are the names of sub-folders. The settings are
those of `configs/voc_animals.py`, whose scores are known, but training follows the number of
photos: few photos are seen many times (`min_steps`), many photos a few times (`epochs`) or in part
(`max_steps`). Whatever else depends on the photos (thresholds of seeds and masks) finds itself in
each photo. Photos of any size are seen at 1,024 pixels at the most (`data.longer_side`), in less
than 12 GB; the masks have the photos' own size.

On two cores 24 photos, six of them of 5000x3000, take 10 minutes; 300 about half an hour, 3,000
four hours.
"""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the setting for real photos; set `data.root`."""
    config = settings.real_photos()
    config.data.source = "folder"
    config.gcn.foreground_odds = 1.0  # networks of few photos find rather too much than too little
    config.classifier.update(min_steps=60, max_steps=1500)
    # More of them on few photos learn the mistakes of their CAMs.
    config.boundary.update(min_steps=40, max_steps=800)
    config.segmenter.update(min_steps=120, max_steps=3000)
    return settings.fit_to(config, machine)
