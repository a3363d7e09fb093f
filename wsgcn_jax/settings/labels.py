"""The settings of the pseudo labels: CRF, graph, seeds, GCN."""

from wsgcn_jax.settings.inputs import BATCH, BELOW_ONE, BUCKET, FIT, SHARE, SIDE
from wsgcn_jax.settings.kinds import Choice, Flag, Integer, Key, Number, Words

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
        Choice(("lattice", "attention", "sampled", "exact")),
        "Of ir_labels and partial_labels: lattice (as published); attention, the same without its "
        "approximation, for TPUs; sampled, attention to every fourth pixel; or exact, whose memory "
        "grows with the stride-4 grid's cells squared. None: on TPUs sampled for ir_labels and "
        "attention for partial_labels, lattice elsewhere.",
        optional=True,
    ),
    Key(
        "crf.longer_side",
        None,
        SIDE,
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
        SIDE,
        "Size of the photo that the graph is built on, in pixels; None: its own.",
        optional=True,
    ),
    Key("graph.bucket", 32, BUCKET, "Photos are padded to multiples of this many pixels."),
    Key("graph.batch_size", None, BATCH, FIT, optional=True),
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
        Choice(("gather", "tiles", "shifts")),
        "Of the fast walk. None: gather on CPUs, shifts on GPUs, tiles on TPUs.",
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
    Key(
        "gcn.features",
        "boundary",
        Words(("boundary", "taps", "cams", "walk")),
        "Of the nodes: the boundary network's activations, as published; its backbone's taps; the "
        "CAMs; the walk's scores.",
    ),
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

KEYS = (*CRF, *GRAPH, *SEEDS, *GCN)
