"""Photos, labels and masks: four sources behind one reader, augmentation, batches.

source = VocSource("VOCdevkit/VOC2012")
prepare(source, "workdir/data")
train = load("workdir/data", "train")
"""

from wsgcn_jax.data.augment import Crop, train_crop
from wsgcn_jax.data.batching import batch_of, bucket_shape, pad_to, padded_shapes, plan_batches
from wsgcn_jax.data.coco import CocoSource
from wsgcn_jax.data.folder import FolderSource
from wsgcn_jax.data.labels import COCO_CLASSES, PALETTE, VOC_CLASSES
from wsgcn_jax.data.palette_png import mask_file, read_mask, write_mask
from wsgcn_jax.data.records import Source
from wsgcn_jax.data.shapes import SHAPES_CLASSES, ShapesSource
from wsgcn_jax.data.source import Split, load, prepare
from wsgcn_jax.data.voc import VocSource

__all__ = [
    "COCO_CLASSES",
    "PALETTE",
    "SHAPES_CLASSES",
    "VOC_CLASSES",
    "CocoSource",
    "Crop",
    "FolderSource",
    "ShapesSource",
    "Source",
    "Split",
    "VocSource",
    "batch_of",
    "bucket_shape",
    "load",
    "mask_file",
    "pad_to",
    "padded_shapes",
    "plan_batches",
    "prepare",
    "read_mask",
    "train_crop",
    "write_mask",
]
