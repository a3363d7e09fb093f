"""The settings of what follows the networks' maps: CRF, graph, seeds, GCN, segmenter, report."""

from wsgcn_jax.settings.inputs import (
    BACKBONES,
    BATCH,
    BELOW_ONE,
    BUCKET,
    CROP,
    FROZEN,
    RANGE,
    RATE,
    SCALE,
    SCALES,
    SHARE,
    training,
)
from wsgcn_jax.settings.kinds import Choice, Flag, Integer, Key, Number, Text, Tuple

_SIDE = Integer(32, 4096)
_SIGMA = Number(0.1, 1000)
_ALPHA = Number(0.1, 1000)
_WEIGHT = Number(0, 1000)

CRF = (
    Key("crf.ir_labels", False, Flag(), "Draw the boundary network's labels to the edges."),
    Key("crf.partial_labels", False, Flag(), "Draw the GCN's seeds to the edges, rule=cam only."),
    Key("crf.post_process", True, Flag(), "Draw the GCN's scores to the edges, at full size."),
    Key(
        "crf.flat_unary",
        False,
        Flag(),
        "post_process reads the probabilities through a softmax once more, as published.",
    ),
    Key(
        "crf.kernel",
        None,
        Choice(("lattice", "attention", "exact")),
        "Of ir_labels and partial_labels: lattice (as published); attention, the same without its "
        "approximation, for TPUs; or exact, whose memory grows with the stride-4 grid's cells "
        "squared. None: attention on TPUs, lattice elsewhere.",
        optional=True,
    ),
    Key(
        "crf.longer_side",
        None,
        _SIDE,
        "exact, ir_labels: size of the photo, in pixels; None: its own.",
        optional=True,
    ),
    Key("crf.sigma_xy", 50.0, _SIGMA, "exact, ir_labels: standard deviation in pixels."),
    Key("crf.sigma_rgb", 5.0, _SIGMA, "exact: standard deviation in colour, of 0 to 255."),
    Key("crf.weight", 10.0, _WEIGHT, "exact: weight of the colour kernel."),
)

GRAPH = (
    Key(
        "graph.longer_side",
        None,
        _SIDE,
        "Size of the photo that the graph is built on, in pixels; None: its own.",
        optional=True,
    ),
    Key("graph.bucket", 32, BUCKET, "Photos are padded to multiples of this many pixels."),
    Key("graph.batch_size", 4, BATCH, "Photos at a time."),
    Key("graph.radius", 5, Integer(2, 16), "Nodes closer than this are joined, in nodes."),
    Key("graph.beta", 10.0, Number(0, 100, with_low=False), "Exponent of the affinities."),
    Key(
        "graph.steps",
        256,
        Choice(tuple(2**n for n in range(13))),
        "Length of the random walk.",
    ),
    Key(
        "graph.walk",
        "fast",
        Choice(("fast", "dense")),
        "dense is exact, but its memory and time grow with cells squared, cubed.",
    ),
    Key(
        "graph.form",
        None,
        Choice(("gather", "tiles")),
        "Of the fast walk; tiles are for matrix units. None: tiles on TPUs, gather elsewhere.",
        optional=True,
    ),
    Key("graph.basis", 64, Integer(1, 4096), "Columns of the fast walk, from fast to exact."),
    Key("graph.symmetrise", "max", Choice(("max", "mean")), "How the adjacency is symmetrised."),
    Key("graph.laplacian_radius", 2, Integer(1, 8), "Of the colour Laplacian, in nodes."),
)

SEEDS = (
    Key(
        "seeds.rule",
        "cam",
        Choice(("cam", "walk")),
        "cam as published; walk calibrates itself to other backbones.",
    ),
    Key(
        "seeds.margin",
        0.3,
        BELOW_ONE,
        "walk: how far from the photo's threshold nodes stay unlabelled.",
    ),
    Key("seeds.floor", 0.0, BELOW_ONE, "Subtracted from CAMs that are not zero on background."),
    Key("seeds.low_alpha", 4.0, _ALPHA, "cam: exponent under which an object has to win."),
    Key("seeds.high_alpha", 32.0, _ALPHA, "cam: exponent under which background has to win."),
    Key(
        "seeds.confident",
        0.3,
        Number(0, 1, with_low=False),
        "cam: share of a class's nodes that may be labelled, the strongest first.",
    ),
    Key("seeds.minimum_score", 0.8, SHARE, "cam: least score of a labelled node."),
    Key(
        "seeds.background_minimum",
        0.8,
        BELOW_ONE,
        "cam: background nodes have a score above this.",
    ),
)

GCN = (
    Key("gcn.hidden", 16, Integer(1, 1024), "Width of the hidden layer."),
    Key("gcn.epochs", 250, Integer(1, 100_000), "Steps of the fit."),
    Key("gcn.learning_rate", 0.01, Number(0, 10, with_low=False), "Of Adam."),
    Key("gcn.weight_decay", 5e-4, SHARE, "Added to the gradient."),
    Key("gcn.dropout", 0.3, Number(0, 0.99), "Chance that a hidden unit is dropped."),
    Key("gcn.entropy_weight", 10.0, _WEIGHT, "Of the entropy of unlabelled nodes."),
    Key("gcn.laplacian_weight", 0.01, _WEIGHT, "Of the colour Laplacian."),
    Key(
        "gcn.ensemble",
        1,
        Integer(1, 100),
        "Fits with other starts and dropout, whose probabilities are averaged.",
    ),
    Key(
        "gcn.foreground_odds",
        1.0,
        Number(0.001, 1000),
        "Factor on the odds of objects against background; 1 as published.",
    ),
)

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
    Key("segmenter.crf", False, Flag(), "Its masks go through the dense CRF, as published."),
    Key(
        "segmenter.eval_scales",
        (0.5, 0.75, 1.0, 1.25, 1.5),
        SCALES,
        "Of a photo whose mask is made.",
    ),
    Key("segmenter.eval_longer_side", 1024, _SIDE, "Larger photos are seen at this size."),
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

KEYS = (*CRF, *GRAPH, *SEEDS, *GCN, *SEGMENTER, *REPORT)
