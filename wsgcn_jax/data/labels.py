"""Names of classes and colours of masks; lists of labels are read in `lists`."""

import numpy as np

BACKGROUND = "background"

VOC_CLASSES = (
    BACKGROUND,
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

# Names between bars, a line for ten categories; COCO's 2014 and 2017 sets skip some of 1 to 90.
_COCO = (
    "person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light",
    "fire hydrant||stop sign|parking meter|bench|bird|cat|dog|horse|sheep",
    "cow|elephant|bear|zebra|giraffe||backpack|umbrella||",
    "handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove",
    "skateboard|surfboard|tennis racket|bottle||wine glass|cup|fork|knife|spoon",
    "bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut",
    "cake|chair|couch|potted plant|bed||dining table|||toilet",
    "|tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster",
    "sink|refrigerator||book|clock|vase|scissors|teddy bear|hair drier|toothbrush",
)

COCO_IDS = {i: name for i, name in enumerate("|".join(_COCO).split("|"), start=1) if name}
"""COCO's category ids, 1 to 90, and their names."""

COCO_CLASSES = (BACKGROUND, *COCO_IDS.values())
"""COCO's 80 classes in the order of their category ids."""


def _voc_palette() -> np.ndarray:
    """The colours of VOC's masks, by its bit rule.

    The three lowest bits of an index are the highest bits of red, green and blue, the next
    three the next highest, and so on.

    Returns:
        `[256, 3] u8`.
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        for bit in range(3):
            value = (index >> (3 * bit + channel)) & 1
            palette[:, channel] |= (value << (7 - bit)).astype(np.uint8)
    return palette


PALETTE = _voc_palette()
"""The colours of masks, `[256, 3] u8`."""
PALETTE.flags.writeable = False
