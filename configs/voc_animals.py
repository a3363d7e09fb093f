"""Real photos on two cores: 1,582 VOC photos, mostly of cats, dogs, horses, cows and sheep.

    python -m experiments.train --config=configs/voc_animals.py \
        --config.data.root=PATH/VOC2012 --workdir=workdir/voc_animals

takes about 90 minutes; expect 82 mIoU of the pseudo labels of train (GCN + CRF) and 77 of the
segmenter on val, over background and the five animals.
"""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the setting for real photos on a small machine; set `data.root`."""
    config = settings.real_photos()
    config.data.update(
        source="voc",
        train_split="train_aug",
        pseudo_split="train_aug",
        val_split="val",
        score_split="train",
    )
    config.report.classes = ("background", "cat", "cow", "dog", "horse", "sheep")
    return settings.fit_to(config, machine)
