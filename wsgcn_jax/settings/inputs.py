"""The settings of the data and of the networks before the graph: data to boundary."""

from typing import Any

from wsgcn_jax.settings.kinds import Choice, Flag, Integer, Key, Number, Text, Tuple, Words

BACKBONES = (
    "resnet50",
    "resnet101",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "resnet101_caffe",
)
STAGES = ("data", "classifier", "cams", "boundary", "pseudo_labels", "segmenter", "evaluate")

BATCH = Integer(1, 1024)
BUCKET = Integer(16, 512, multiple=16)
CROP = Integer(32, 4096)
SIDE = Integer(32, 4096)
SHARE = Number(0, 1)
RATE = Number(0, 100)
SCALE = Number(0.1, 4)
SCALES = Tuple(SCALE, 1, 16)
RANGE = Tuple(SCALE, 2, 2, ascending=True)
FROZEN = Integer(0, 5)
STEPS = Integer(1, 10_000_000)
FIT = "Photos at a time; None: as many as fit, 4 on a CPU."
BELOW_ONE = Number(0, 1, with_high=False)

RUN = (
    Key("seed", 0, Integer(0, 2_000_000_000), "Of everything that is drawn at random."),
    Key("stages", "all", Words(STAGES, whole="all"), "Which stages are run."),
)

DATA = (
    Key(
        "data.source",
        "shapes",
        Choice(("shapes", "voc", "coco", "folder")),
        "Where photos come from.",
    ),
    Key(
        "data.root",
        None,
        Text(),
        "The devkit's VOC2012 folder (voc), that with annotations (coco), or that of the photos.",
        optional=True,
    ),
    Key(
        "data.labels",
        None,
        Text(),
        "A list (docs/your-photos.md). voc: `xml` too, None: Annotations or cls_labels.npy; coco, "
        "None: that in annotations; folder, None: labels.csv, or the names of sub-folders.",
        optional=True,
    ),
    Key("data.masks", None, Text(), "folder: where true masks are, if any.", optional=True),
    Key(
        "data.classes",
        None,
        Tuple(Text(), 1, 254, distinct=True),
        "folder: names of the classes in the order of their ids; None: those of the labels.",
        optional=True,
    ),
    Key(
        "data.longer_side",
        1024,
        SIDE,
        "Larger photos are seen at this size, which bounds the memory; results have their own.",
    ),
    Key("data.num_train", 240, Integer(1, 1_000_000), "shapes: training photos."),
    Key("data.num_val", 60, Integer(1, 1_000_000), "shapes: validation photos."),
    Key("data.train_split", "train", Text(), "The photos that train the classifier."),
    Key(
        "data.pseudo_split",
        "train",
        Text(),
        "The photos that get pseudo labels; they train the boundary network and the segmenter.",
    ),
    Key(
        "data.val_split",
        None,
        Text(),
        "The photos that the segmenter is scored on; None: it is not scored.",
        optional=True,
    ),
    Key(
        "data.score_split",
        None,
        Text(),
        "The photos whose pseudo labels are scored, some of pseudo_split; None: all of them.",
        optional=True,
    ),
)

BACKBONE = (
    Key("backbone.name", "efficientnet_lite0", Choice(BACKBONES), "resnet50 is the paper's."),
    Key(
        "backbone.weights",
        None,
        Text(),
        "A torch or safetensors file, or a folder of experiments.convert; None: the weights that "
        "an installed package carries.",
        optional=True,
    ),
    Key(
        "backbone.precision",
        None,
        Choice(("high", "highest")),
        "Of the networks' matrix products; None: the backend's own (TF32, bfloat16). The graph "
        "part and the CRF have full precision, whatever stands here.",
        optional=True,
    ),
)


def training(section: str, **defaults: Any) -> tuple[Key, ...]:
    """The keys of training that all three networks have.

    Args:
        section: of the network.
        defaults: where they differ from those of the others.
    """
    keys = (
        Key(
            "init",
            None,
            Text(),
            "A folder of experiments.convert with the whole network's weights to start from; "
            "None: an ImageNet backbone.",
            optional=True,
        ),
        Key("batch_size", 16, BATCH, "Photos an update, of all devices together."),
        Key(
            "epochs",
            5,
            Integer(0, 1_000_000),
            "Times that every photo is seen; 0: the weights are kept as they are.",
        ),
        Key("min_steps", 1, STEPS, "Updates at least, however few photos there are."),
        Key(
            "max_steps",
            None,
            STEPS,
            "Updates at most; None: as many as the epochs give.",
            optional=True,
        ),
        Key("learning_rate", 0.1, RATE, "Of SGD; 0: these weights stay as they are."),
        Key(
            "learning_rate_interval",
            1,
            Integer(1, 1_000_000),
            "Updates between two changes of the polynomial schedule.",
        ),
        Key("momentum", 0.0, BELOW_ONE, "Of SGD."),
        Key("weight_decay", 1e-4, SHARE, "Of the kernels."),
        Key("accumulate", 1, BATCH, "Parts of a batch, worked on one after the other."),
        Key(
            "ema",
            None,
            BELOW_ONE,
            "Decay of the moving average of the weights, which is kept; None: the last weights.",
            optional=True,
        ),
    )
    unknown = set(defaults) - {key.name for key in keys}
    assert not unknown, unknown
    return tuple(
        key._replace(name=f"{section}.{key.name}", default=defaults.get(key.name, key.default))
        for key in keys
    )


CLASSIFIER = (
    *training("classifier"),
    Key(
        "classifier.head",
        "random",
        Choice(("random", "imagenet")),
        "What the layer behind the backbone starts from. imagenet: the ImageNet classes that the "
        "class names stand for; with epochs=0 they give CAMs without any training.",
    ),
    Key(
        "classifier.linear",
        False,
        Flag(),
        "Where there are neither epochs nor init: the head alone is fitted, by logistic regression "
        "of the photos' labels on the frozen backbone's mean features. A minute for 1,000 photos.",
    ),
    Key("classifier.head_learning_rate", 1.0, RATE, "Of the layer behind the backbone."),
    Key(
        "classifier.longer_side",
        (320, 640),
        Tuple(SIDE, 2, 2, ascending=True),
        "Pixels of a training photo's longer side, drawn between these.",
    ),
    Key("classifier.crop", 512, CROP, "Side of a training crop, in pixels."),
    Key(
        "classifier.frozen_stages",
        3,
        FROZEN,
        "Leading stages of the backbone that are not trained, of five (the stem is the first).",
    ),
)

CAMS = (
    Key(
        "cams.sources",
        None,
        Words(("trained", "imagenet")),
        "Whose CAMs: the trained classifier's, or ImageNet's own head's, where the trained one "
        "speaks of what ImageNet does not know, or hardly (persons); of both the mean, or, where "
        "none is trained, imagenet. "
        "None: trained, and with classifier.head=imagenet both.",
        optional=True,
    ),
    Key("cams.scales", (1.0, 0.5, 1.5, 2.0), SCALES, "Of the photo, at which it is seen."),
    Key("cams.batch_size", None, BATCH, FIT, optional=True),
    Key("cams.bucket", 128, BUCKET, "Photos are padded to multiples of this many pixels."),
)

_LEVEL = Number(0, 1, with_low=False, with_high=False)

BOUNDARY = (
    *training("boundary", batch_size=32, epochs=3),
    Key("boundary.foreground", 0.30, _LEVEL, "CAM scores above this are sure objects."),
    Key("boundary.background", 0.05, _LEVEL, "CAM scores below this are sure background."),
    Key("boundary.scales", (0.5, 1.5), RANGE, "Scale of a training photo, drawn between these."),
    Key("boundary.crop", 512, CROP, "Side of a training crop, in pixels."),
    Key(
        "boundary.radius",
        10,
        Integer(2, 16),
        "How far apart the two nodes of a pair may be, in nodes of four pixels.",
    ),
    Key(
        "boundary.displacement",
        False,
        Flag(),
        "Train IRNet's second branch, which its instance masks need and nothing here does.",
    ),
    Key("boundary.displacement_learning_rate", 1.0, RATE, "Of that branch."),
)

KEYS = (*RUN, *DATA, *BACKBONE, *CLASSIFIER, *CAMS, *BOUNDARY)
