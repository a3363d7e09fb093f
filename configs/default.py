"""Every key of a configuration, with the published setting where there is one.

The other files start from here and change what differs. An unknown key is an error. A key that is
None here may be None (`--config.KEY=None`, or with nothing behind the equals sign), and no other.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

RENAMED = {
    "classifier.frozen_taps": "classifier.frozen_stages",
    "crf.boundary_labels": "crf.ir_labels",
    "crf.masks": "crf.post_process",
    "crf.seeds": "crf.partial_labels",
    "gcn.object_odds": "gcn.foreground_odds",
    "segmenter.frozen_taps": "segmenter.frozen_stages",
    "segmenter.rate_every": "segmenter.learning_rate_interval",
    "segmenter.test_batch_size": "segmenter.eval_batch_size",
    "segmenter.test_bucket": "segmenter.eval_bucket",
    "segmenter.test_longer_side": "segmenter.eval_longer_side",
    "segmenter.test_scales": "segmenter.eval_scales",
}
"""Keys of older configurations and their names here, for the error about an unknown key."""


BATCHES = {"cpu": 4, "gpu": 64, "tpu": 32}
"""Photos that the graph part labels together, by machine."""


def fit_to(config: ConfigDict, machine: str | None) -> ConfigDict:
    """Sets batch sizes and number formats for a machine: `--config=configs/voc12.py:tpu`.

    Args:
        config: unlocked; changed in place.
        machine: cpu, gpu or tpu; None leaves the configuration as it is.

    Returns:
        The configuration, locked.

    Raises:
        ValueError: there is no such machine.
    """
    if machine is not None and machine not in BATCHES:
        raise ValueError(f"no preset {machine!r}; there are {', '.join(BATCHES)}")
    if machine is not None:
        config.graph.batch_size = BATCHES[machine]
    if machine in ("gpu", "tpu"):
        config.cams.batch_size = 16
        config.segmenter.update(bfloat16=True, eval_batch_size=16)
    return config.lock()


def get_config() -> ConfigDict:
    """Returns the defaults; `data` must be filled in by the caller."""
    config = ConfigDict()
    config.seed = 0
    config.stages = "all"  # or a comma-separated part, e.g. "cams,pseudo_labels"
    config.data = _data()
    config.backbone = ConfigDict()
    config.backbone.name = "efficientnet_lite0"  # or resnet50 (the paper's)
    # A torch or safetensors file, or a folder of experiments.convert; None: the package's.
    config.backbone.weights = placeholder(str)
    # Of the networks' products: highest, high; None: the backend's own (TF32, bfloat16). The
    # graph part and the CRF name theirs, whatever stands here.
    config.backbone.precision = placeholder(str)
    config.classifier = _classifier()
    config.cams = ConfigDict()
    config.cams.scales = (1.0, 0.5, 1.5, 2.0)
    config.cams.batch_size = placeholder(int)  # None: as many as fit, 4 on a CPU
    config.cams.bucket = 128  # photos are padded to multiples of this many pixels
    config.boundary = _boundary()
    config.crf = _crf()
    config.graph = _graph()
    config.seeds = _seeds()
    config.gcn = _gcn()
    config.segmenter = _segmenter()
    config.report = ConfigDict()
    config.report.photos = 12
    config.report.classes = placeholder(tuple)  # names to score; None: all
    return config


def _data() -> ConfigDict:
    data = ConfigDict()
    data.source = "shapes"  # shapes | voc | folder
    data.root = placeholder(str)  # voc: the devkit's VOC2012 folder; folder: the photos
    # voc: "xml" or a file, None: Annotations or cls_labels.npy; folder: a CSV, None: labels.csv
    data.labels = placeholder(str)
    data.masks = placeholder(str)  # folder: where the true masks are, if there are any
    data.num_train = 240  # shapes only
    data.num_val = 60  # shapes only
    data.train_split = "train"  # classifier
    data.pseudo_split = "train"  # boundary network, pseudo labels, segmenter
    data.val_split = placeholder(str)  # scores of the segmenter; None: no scores
    data.score_split = placeholder(str)  # pseudo labels scored, of those made; None: all
    # Larger photos are seen at this size, which bounds the memory; results have their own size.
    data.longer_side = 1024
    return data


def _training(**settings: float) -> ConfigDict:
    """The keys of training that all three networks have."""
    section = ConfigDict()
    section.init = placeholder(str)  # a folder of experiments.convert to start from
    section.batch_size = 16
    section.epochs = 5  # 0: the weights are kept as they are
    # Updates, at least and at most, whatever epochs would make of few or many photos.
    section.min_steps = 1
    section.max_steps = placeholder(int)
    section.learning_rate = 0.1
    section.learning_rate_interval = 1  # updates between two changes of the polynomial schedule
    section.momentum = 0.0
    section.weight_decay = 1e-4
    section.accumulate = 1  # parts of a batch, one after the other
    section.ema = placeholder(float)  # decay of the averaged weights that are kept; None: the last
    section.update(settings)
    return section


def _classifier() -> ConfigDict:
    classifier = _training(batch_size=16, epochs=5, learning_rate=0.1)
    classifier.head_learning_rate = 1.0
    classifier.longer_side = (320, 640)
    classifier.crop = 512
    classifier.frozen_stages = 3  # leading stages of the backbone that pass no gradient
    return classifier


def _boundary() -> ConfigDict:
    boundary = _training(batch_size=32, epochs=3, learning_rate=0.1)
    boundary.foreground = 0.30  # CAM background scores of the confident labels
    boundary.background = 0.05
    boundary.scales = (0.5, 1.5)
    boundary.crop = 512
    boundary.radius = 10
    # IRNet's second branch, which its instance masks need and nothing here does.
    boundary.displacement = False
    boundary.displacement_learning_rate = 1.0
    return boundary


def _crf() -> ConfigDict:
    crf = ConfigDict()
    crf.ir_labels = False  # the boundary network's labels (IRNet's cam_to_ir_label)
    crf.partial_labels = False  # the GCN's seeds, by seeds.rule=cam
    crf.post_process = True  # the GCN's scores at the photo's size
    crf.flat_unary = False  # True: unaries of post_process are nearly flat, as published
    # Of ir_labels and partial_labels: lattice (as published, ir_labels at the photo's size);
    # attention, the same without its approximation, for TPUs; or exact on the stride-4
    # grid, where time and memory grow with cells squared.
    # None: attention on TPUs, lattice elsewhere.
    crf.kernel = placeholder(str)
    crf.longer_side = placeholder(int)  # exact: of the photo for ir_labels; None: its own
    crf.sigma_xy = 50.0  # exact, ir_labels: in pixels of the photo
    crf.sigma_rgb = 5.0  # exact
    crf.weight = 10.0  # exact
    return crf


def _graph() -> ConfigDict:
    graph = ConfigDict()
    graph.longer_side = placeholder(int)  # of the photo the graph is built on; None: its own
    graph.bucket = 32  # pixels; the stride-4 grid is padded to multiples of a quarter
    graph.batch_size = placeholder(int)  # None: as many as fit, 4 on a CPU
    graph.radius = 5
    graph.beta = 10.0
    graph.steps = 256
    # fast, or dense: exact, but memory and time grow with cells squared, cubed
    graph.walk = "fast"
    # Of the fast walk: gather, or tiles, for matrix units; None: tiles on TPUs, else gather.
    graph.form = placeholder(str)
    graph.basis = 64  # columns of the fast walk, from fast to exact
    graph.symmetrise = "max"  # or mean
    graph.laplacian_radius = 2
    return graph


def _seeds() -> ConfigDict:
    seeds = ConfigDict()
    seeds.rule = "cam"  # as published; or walk: calibrates itself to other backbones
    seeds.margin = 0.3  # walk: how far from the photo's threshold nodes stay unlabelled
    seeds.floor = 0.0  # subtracted from CAMs that are not zero on the background
    seeds.low_alpha = 4.0
    seeds.high_alpha = 32.0
    seeds.confident = 0.3
    seeds.minimum_score = 0.8
    seeds.background_minimum = 0.8
    return seeds


def _gcn() -> ConfigDict:
    gcn = ConfigDict()
    gcn.hidden = 16
    gcn.epochs = 250
    gcn.learning_rate = 0.01
    gcn.weight_decay = 5e-4
    gcn.dropout = 0.3
    gcn.entropy_weight = 10.0
    gcn.laplacian_weight = 0.01
    gcn.ensemble = 1  # fits with other starts and dropout, their probabilities averaged
    gcn.foreground_odds = 1.0  # factor on the odds of objects against background; published: 1
    return gcn


def _segmenter() -> ConfigDict:
    # init: a folder with a whole DeepLab, or the word classifier: the backbone continues from the
    # run's own classifier. Published: accumulate=2, learning_rate_interval=10.
    segmenter = _training(
        batch_size=10,
        epochs=20,
        learning_rate=2.5e-4,
        learning_rate_interval=10,
        momentum=0.9,
        weight_decay=5e-4,
    )
    segmenter.head_learning_rate = 2.5e-3  # its biases: twice that, undecayed
    segmenter.supervision = "pseudo"  # or truth: the pseudo split's true masks, to compare
    segmenter.backbone = placeholder(str)  # None: the same as the other networks'
    segmenter.weights = placeholder(str)  # as backbone.weights; None: those, of the same backbone
    segmenter.output_stride = 8
    segmenter.rates = (6, 12, 18, 24)
    segmenter.scales = (0.5, 1.5)
    segmenter.crop = 321
    segmenter.frozen_stages = 0
    segmenter.train_norms = True  # scales and biases of batch norms; published: False
    segmenter.batch_statistics = False  # batch norm by the batch (published with ImageNet)
    segmenter.undilated_first = False  # first block of a dilated stage (ditto)
    segmenter.balanced = False  # objects and background count alike in the loss
    segmenter.multi_scale = ()  # more scales, each with a loss, and the maximum's: (.5, .75)
    segmenter.scale_by_size = False  # True: their coordinates as in PyTorch before 1.6
    segmenter.bfloat16 = False  # compute; parameters and statistics stay float32
    segmenter.crf = False  # True: its masks go through the dense CRF, as published
    segmenter.eval_scales = (0.5, 0.75, 1.0, 1.25, 1.5)
    segmenter.eval_longer_side = 1024  # larger photos are seen at this size
    segmenter.eval_batch_size = 4
    segmenter.eval_bucket = 128
    return segmenter
