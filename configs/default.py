"""Every key of a configuration, with the published setting where there is one.

The other files start from here and change what differs. An unknown key is an error.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Returns the defaults; `data` must be filled in by the caller."""
    config = ConfigDict()
    config.seed = 0
    config.stages = "all"  # or a comma-separated part, e.g. "cams,pseudo_labels"

    config.data = ConfigDict()
    config.data.source = "shapes"  # shapes | voc | folder
    config.data.root = ""  # voc: the devkit's VOC2012 folder; folder: the photos
    config.data.labels = "auto"  # voc: auto | xml | a file; folder: the CSV
    config.data.masks = ""  # folder: where the true masks are, if there are any
    config.data.num_train = 240  # shapes only
    config.data.num_val = 60  # shapes only
    config.data.train_split = "train"  # classifier
    config.data.pseudo_split = "train"  # boundary network, pseudo labels, segmenter
    config.data.val_split = "val"  # scores of the segmenter; "" = none
    config.data.score_split = ""  # pseudo labels scored, of those made; "" = all

    config.backbone = ConfigDict()
    config.backbone.name = "efficientnet_lite0"  # or resnet50 (the paper's)
    # A torch or safetensors file, or a converted folder; "" = the installed package's.
    config.backbone.weights = ""

    config.classifier = ConfigDict()
    config.classifier.init = ""  # a folder of experiments.convert to start from, ditto boundary's
    config.classifier.longer_side = (320, 640)
    config.classifier.crop = 512
    config.classifier.batch_size = 16
    config.classifier.epochs = 5  # 0 = keep the weights of init as they are
    config.classifier.learning_rate = 0.1
    config.classifier.head_learning_rate = 1.0
    config.classifier.momentum = 0.0
    config.classifier.weight_decay = 1e-4
    config.classifier.frozen_taps = 3

    config.cams = ConfigDict()
    config.cams.scales = (1.0, 0.5, 1.5, 2.0)
    config.cams.batch_size = 4
    config.cams.bucket = 128  # photos are padded to multiples of this many pixels

    config.boundary = ConfigDict()
    config.boundary.init = ""
    config.boundary.foreground = 0.30  # CAM background scores of the confident labels
    config.boundary.background = 0.05
    config.boundary.scales = (0.5, 1.5)
    config.boundary.crop = 512
    config.boundary.batch_size = 32
    config.boundary.epochs = 3
    config.boundary.learning_rate = 0.1
    config.boundary.displacement_learning_rate = 1.0
    config.boundary.momentum = 0.0
    config.boundary.weight_decay = 1e-4
    config.boundary.radius = 10

    config.crf = ConfigDict()
    config.crf.masks = True  # the last step, at the photo's size
    config.crf.flat_unary = False  # True: its unaries are nearly flat, as in the published code
    config.crf.boundary_labels = False
    config.crf.seeds = False
    # 0: both as published, on the lattice, boundary labels at the photo's size. Otherwise by exact
    # kernels on the stride-4 grid, boundary labels at this size: cells squared is the cost.
    config.crf.longer_side = 0
    # Of the exact kernels; sigma_xy, in pixels of the photo, for boundary labels only.
    config.crf.sigma_xy = 50.0
    config.crf.sigma_rgb = 5.0
    config.crf.weight = 10.0

    config.graph = ConfigDict()
    config.graph.longer_side = 0  # of the photo the graph is built on; 0 = its own
    config.graph.bucket = 32  # pixels; the stride-4 grid is padded to multiples of a quarter
    config.graph.batch_size = 4
    config.graph.radius = 5
    config.graph.beta = 10.0
    config.graph.steps = 256
    config.graph.walk = (
        "fast"  # or dense: exact, but memory and time grow with cells squared, cubed
    )
    config.graph.basis = 64  # columns of the fast walk, from fast to exact
    config.graph.symmetrise = "max"  # or mean
    config.graph.laplacian_radius = 2

    config.seeds = ConfigDict()
    config.seeds.rule = "cam"  # as published; or walk: calibrates itself to other backbones
    config.seeds.margin = 0.3  # walk: how far from the photo's threshold nodes stay unlabelled
    config.seeds.floor = 0.0  # subtracted from CAMs that are not zero on the background
    config.seeds.low_alpha = 4.0
    config.seeds.high_alpha = 32.0
    config.seeds.confident = 0.3
    config.seeds.minimum_score = 0.8
    config.seeds.background_minimum = 0.8

    config.gcn = ConfigDict()
    config.gcn.hidden = 16
    config.gcn.epochs = 250
    config.gcn.learning_rate = 0.01
    config.gcn.weight_decay = 5e-4
    config.gcn.dropout = 0.3
    config.gcn.entropy_weight = 10.0
    config.gcn.laplacian_weight = 0.01
    config.gcn.ensemble = 1  # fits with other starts and dropout, their probabilities averaged
    config.gcn.object_odds = 1.0  # factor on the odds of objects against background; published: 1

    config.segmenter = ConfigDict()
    config.segmenter.supervision = "pseudo"  # or truth: the pseudo split's true masks, to compare
    config.segmenter.backbone = ""  # another than the rest of the road's; "" = the same
    config.segmenter.weights = ""  # as backbone.weights, which is used where both backbones agree
    # A folder of experiments.convert with a whole DeepLab, or the word classifier: the backbone
    # goes on from the run's own.
    config.segmenter.init = ""
    config.segmenter.output_stride = 8
    config.segmenter.rates = (6, 12, 18, 24)
    config.segmenter.scales = (0.5, 1.5)
    config.segmenter.crop = 321
    config.segmenter.batch_size = 10
    config.segmenter.epochs = 20
    config.segmenter.learning_rate = 2.5e-4
    config.segmenter.head_learning_rate = 2.5e-3  # its biases: twice that, undecayed
    config.segmenter.rate_every = 10  # updates between two changes of the rates
    config.segmenter.momentum = 0.9
    config.segmenter.weight_decay = 5e-4
    config.segmenter.frozen_taps = 0
    config.segmenter.train_norms = True  # scales and biases of batch norms; published: False
    config.segmenter.batch_statistics = False  # batch norm by the batch (published with ImageNet)
    config.segmenter.undilated_first = False  # first block of a dilated stage (ditto)
    config.segmenter.balanced = False  # objects and background count alike in the loss
    config.segmenter.multi_scale = ()  # more scales, each with a loss, and the maximum's: (.5, .75)
    config.segmenter.scale_by_size = False  # True: their coordinates as in PyTorch before 1.6
    config.segmenter.accumulate = 1  # parts of a batch, one after the other; published: 2
    config.segmenter.bfloat16 = False  # compute; parameters and statistics stay float32
    config.segmenter.ema = 0.0  # decay of the averaged weights that are kept; 0 = the last
    config.segmenter.crf = False  # True: its masks go through the dense CRF, as published
    config.segmenter.test_scales = (0.5, 0.75, 1.0, 1.25, 1.5)
    config.segmenter.test_longer_side = 1024  # larger photos are seen at this size
    config.segmenter.test_batch_size = 4
    config.segmenter.test_bucket = 128

    config.report = ConfigDict()
    config.report.photos = 12
    config.report.classes = ()  # names to score; () = all
    return config
