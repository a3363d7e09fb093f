"""The paper's setting: PASCAL VOC 2012, ResNet-50 for CAMs and boundaries, DeepLab on ResNet-101.

    python -m experiments.train --config=configs/voc12.py --workdir=workdir/voc12 \
        --config.data.root=PATH/VOCdevkit/VOC2012 --config.backbone.weights=resnet50.pth \
        --config.segmenter.weights=converted/coco

The segmenter is DeepLab v2 on Caffe's ResNet-101, started from COCO as published (a backbone):

    python -m experiments.convert deeplabv1_resnet101-coco.pth converted/coco

`--config.segmenter.init=FOLDER` starts from a whole DeepLab instead. The ImageNet start, on
torchvision's ResNet-101 (34 epochs are its 30,000 steps of 12 crops):

    ... --config.segmenter.backbone=resnet101 --config.segmenter.weights=resnet101.pth \
        --config.segmenter.undilated_first=True --config.segmenter.batch_statistics=True \
        --config.segmenter.scale_by_size=True \
        --config.segmenter.learning_rate=1e-3 --config.segmenter.head_learning_rate=1e-3 \
        --config.segmenter.batch_size=12 --config.segmenter.accumulate=1 \
        --config.segmenter.epochs=34

With IRNet's published networks instead of one's own:

    python -m experiments.convert res50_cam.pth converted/cam
    python -m experiments.convert res50_irn.pth converted/irn
    ... --config.classifier.init=converted/cam --config.classifier.epochs=0 \
        --config.boundary.init=converted/irn --config.boundary.epochs=0

Numbers to expect. The paper's, not ours: nobody has run this file to its end yet.
    pseudo labels on train, mIoU: 66.7 (68.0 with a final CRF; the random walk instead: 66.5)
    DeepLab v2 on ResNet-101: val 66.7, test 68.8 (ImageNet start); val 68.7, test 69.3 (COCO start)

What is not the paper's here: the segmenter's scale is drawn from the whole of .5 to 1.5, not from
five steps, its first ASPP weights are a tenth as large, and its masks are the mean over photo and
mirror image; docs/quirks.md lists what else differs in the ImageNet start.

What it needs: ESTIMATES for 10,582 photos of 375x500, not measured. Of boundary maps and
pseudo_labels: one TPU v5e, compiled ahead of time for v5e, not run (`python -m
experiments.tpu_check`, 2026-11-28; docs/accelerators.md). The others were worked out on paper from
operation counts (multiply-add = 2) and tensor sizes, for one accelerator that sustains 20 TFLOP/s.
    classifier     6.5 GMAC at 224x224 (stride 16), 34 at a 512 crop, x3 to train, 5 epochs:
                   11 PFLOP, 9 min; 16 crops keep about 9 GB of activations
    cams           scales 1, .5, 1.5, 2 are 7.5 photos, twice for the mirror: 8 PFLOP, 7 min
    boundary       frozen backbone, two branches, 3 epochs: 3 PFLOP, 3 min; 6 GB for 32 crops.
                   Maps of all photos: the compiler reckons with 2.5 ms a photo, 27 s
    pseudo_labels  seeds, walk and GCN: the compiler reckons with 162 ms a photo, 29 min; no less
                   than 8 ms at the chip's peaks, 1.5 min. 24 MB a photo beside its inputs, 3.4 GB
                   of traffic; the published matrix alone would take 552 MB. On two CPU cores, and
                   measured (docs/benchmarks.md): 1.14 s without the seeds' CRF, 3 h.
                   A CRF at the photos' size, 3 labels: reckoned 266 ms a photo, 47 min; no less
                   than 8 ms, 1.4 min
    segmenter      ResNet-101 at stride 8: 72 GMAC at a 321 crop, x1.8 for three scales, x3 to
                   train, 10 crops, 20,000 steps: 156 PFLOP, 2.2 h. 13 GB of activations, 6.5 in
                   two parts (`accumulate`). ImageNet start: 12 crops, 30,000 steps: 280 PFLOP,
                   3.9 h, 16 GB
"""

from wsgcn_jax import settings


def get_config(machine: str | None = None) -> settings.ConfigDict:
    """Returns the paper's setting; set `data.root` and the weights of both backbones."""
    config = settings.defaults()
    config.data.update(
        source="voc",
        train_split="train_aug",
        pseudo_split="train_aug",
        val_split="val",
        score_split="train",
    )
    config.backbone.update(name="resnet50")
    # The classifier, CAMs, boundary network, graph, seeds and GCN are the defaults: published.
    config.crf.update(ir_labels=True, partial_labels=True)
    # DeepLab's COCO recipe: 20,000 steps of 10 crops are 19 epochs.
    config.segmenter.update(
        backbone="resnet101_caffe",
        epochs=19,
        train_norms=False,
        multi_scale=(0.5, 0.75),
        accumulate=2,
        eval_scales=(1.0, 0.75, 0.5),
        crf=True,
    )
    return settings.fit_to(config, machine)
