"""The settings of the segmenter and of the report."""

from wsgcn_jax.settings.inputs import (
    BACKBONES,
    BATCH,
    BUCKET,
    CROP,
    FROZEN,
    RANGE,
    RATE,
    SCALE,
    SCALES,
    SIDE,
    training,
)
from wsgcn_jax.settings.kinds import Choice, Flag, Integer, Key, Text, Tuple

SEGMENTER = (
    *(
        key
        if key.name != "segmenter.init"
        else key._replace(
            meaning="A folder of experiments.convert with a whole DeepLab, or `classifier`: the "
            "backbone continues from the run's own classifier; None: its ImageNet weights."
        )
        for key in training(
            "segmenter",
            batch_size=10,
            epochs=20,
            learning_rate=2.5e-4,
            learning_rate_interval=10,
            momentum=0.9,
            weight_decay=5e-4,
        )
    ),
    Key(
        "segmenter.head_learning_rate",
        2.5e-3,
        RATE,
        "Of the layers behind the backbone; of their biases: twice that.",
    ),
    Key(
        "segmenter.supervision",
        "pseudo",
        Choice(("pseudo", "truth")),
        "truth: the true masks of pseudo_split, to compare.",
    ),
    Key(
        "segmenter.targets",
        "labels",
        Choice(("labels", "scores")),
        "scores: learn the GCN's probabilities instead of the pseudo labels.",
    ),
    Key(
        "segmenter.ignore_disputed",
        False,
        Flag(),
        "Leave out the pixels that the random walk, cut at each photo's own threshold, and the GCN "
        "label differently.",
    ),
    Key(
        "segmenter.backbone",
        None,
        Choice(BACKBONES),
        "None: the same as the other networks'.",
        optional=True,
    ),
    Key(
        "segmenter.weights",
        None,
        Text(),
        "As backbone.weights; None: those, where the backbone is the same.",
        optional=True,
    ),
    Key("segmenter.output_stride", 8, Choice((8, 16)), "Pixels a cell of the score map."),
    Key("segmenter.rates", (6, 12, 18, 24), Tuple(Integer(1, 1000), 1, 16), "Dilations of ASPP."),
    Key(
        "segmenter.decoder",
        "none",
        Choice(("none", "skip")),
        "skip: scores are refined at stride 4 with what the backbone saw there; none: DeepLab v2.",
    ),
    Key("segmenter.scales", (0.5, 1.5), RANGE, "Scale of a training photo, drawn between these."),
    Key("segmenter.crop", 321, CROP, "Side of a training crop, in pixels."),
    Key("segmenter.frozen_stages", 0, FROZEN, "As classifier.frozen_stages."),
    Key(
        "segmenter.train_norms",
        True,
        Flag(),
        "Train scales and biases of batch norms; published: False.",
    ),
    Key(
        "segmenter.batch_statistics",
        False,
        Flag(),
        "Batch norm by the batch, ResNets only; published with ImageNet weights.",
    ),
    Key(
        "segmenter.undilated_first",
        False,
        Flag(),
        "The first block of a dilated stage is not, ResNets only; published likewise.",
    ),
    Key("segmenter.balanced", False, Flag(), "Objects and background count alike in the loss."),
    Key(
        "segmenter.multi_scale",
        (),
        Tuple(SCALE, 0, 8),
        "More scales, each with a loss, besides that of their maximum; published: (0.5, 0.75).",
    ),
    Key(
        "segmenter.scale_by_size",
        False,
        Flag(),
        "Coordinates of multi_scale as in PyTorch before 1.6.",
    ),
    Key("segmenter.bfloat16", False, Flag(), "Compute in bfloat16; parameters stay float32."),
    Key(
        "segmenter.presence",
        False,
        Flag(),
        "Weigh the objects' classes by what the classifier says of the whole photo.",
    ),
    Key("segmenter.crf", False, Flag(), "Its masks go through the dense CRF, as published."),
    Key(
        "segmenter.eval_scales",
        (0.5, 0.75, 1.0, 1.25, 1.5),
        SCALES,
        "Of a photo whose mask is made.",
    ),
    Key("segmenter.eval_longer_side", 1024, SIDE, "Larger photos are seen at this size."),
    Key("segmenter.eval_batch_size", 4, BATCH, "Photos at a time."),
    Key("segmenter.eval_bucket", 128, BUCKET, "As cams.bucket."),
)

REPORT = (
    Key(
        "report.photos",
        60,
        Integer(0, 1000),
        "How many of each split the report shows, those that went worst first; fewer where the "
        "page would exceed 8 MB.",
    ),
    Key(
        "report.classes",
        None,
        Tuple(Text(), 1, 255, distinct=True),
        "Names of the classes that are scored; None: all.",
        optional=True,
    ),
)

KEYS = (*SEGMENTER, *REPORT)
