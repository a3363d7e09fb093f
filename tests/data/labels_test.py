"""Names of classes and colours of masks."""

from wsgcn_jax.data.labels import COCO_CLASSES, COCO_IDS, PALETTE, VOC_CLASSES


def test_voc_names_and_palette():
    assert len(VOC_CLASSES) == 21 and VOC_CLASSES[0] == "background"
    palette = PALETTE
    # Colours of the devkit's own documentation.
    assert palette[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert palette[8].tolist() == [64, 0, 0] and palette[15].tolist() == [192, 128, 128]
    assert palette[20].tolist() == [0, 64, 128] and palette[255].tolist() == [224, 224, 192]


def test_coco_names_by_category_id():
    assert len(COCO_CLASSES) == 81 and len(set(COCO_CLASSES)) == 81 and max(COCO_IDS) == 90
    # Ids of COCO's own list, about each gap in it.
    known = {1: "person", 11: "fire hydrant", 13: "stop sign", 25: "giraffe", 27: "backpack"}
    known |= {44: "bottle", 46: "wine glass", 65: "bed", 67: "dining table", 70: "toilet"}
    known |= {72: "tv", 82: "refrigerator", 84: "book", 90: "toothbrush"}
    assert {i: COCO_IDS[i] for i in known} == known
    assert COCO_CLASSES[80] == "toothbrush" and COCO_CLASSES.index("traffic light") == 10
