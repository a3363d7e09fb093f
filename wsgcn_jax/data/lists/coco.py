"""COCO's `instances_*.json`: which classes each photo shows, and its mask."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wsgcn_jax.data.class_list import is_background, plain_name
from wsgcn_jax.data.labels import COCO_CLASSES, COCO_IDS
from wsgcn_jax.data.lists.coco_masks import draw_polygons, draw_runs
from wsgcn_jax.data.lists.json_lists import read_json
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.data.photos import MAX_PIXELS
from wsgcn_jax.types import IGNORE, DataError


class Instance(NamedTuple):
    """One object: its class by name, whether it is a crowd, its area and its outline."""

    name: str
    crowd: bool
    area: float
    outline: Any


class CocoPhoto(NamedTuple):
    """A photo: its file, (height, width) as the file says, and its objects."""

    file: str
    size: tuple[int, int]
    objects: tuple[Instance, ...]


class Coco(NamedTuple):
    """What a file of instances holds.

    Attributes:
        path: the file.
        classes: names without background: COCO's 80 where the categories are among them, else
            those of the file, by their id.
        photos: by the file's name, in order.
    """

    path: Path
    classes: tuple[str, ...]
    photos: dict[str, CocoPhoto]

    def listed(self) -> Listed:
        """The list of it; crowds are no labels, a photo without objects shows no class."""
        rows = (
            Row(file, tuple(dict.fromkeys(o.name for o in photo.objects if not o.crowd)), line)
            for line, (file, photo) in enumerate(self.photos.items(), start=1)
        )
        form = f"COCO instances, {len(self.classes)} classes"
        return Listed(form, tuple(rows), exact=True, classes=self.classes, blanks=False)

    def mask(self, file: str, classes: tuple[str, ...]) -> np.ndarray:
        """Draws the mask of a photo.

        Args:
            file: the photo as the file names it.
            classes: names by id, "background" first.

        Returns:
            `[h, w] u8`, small objects over large ones, crowds 255 where no object is.

        Raises:
            DataError: an outline is damaged.
        """
        photo = self.photos[file]
        mask = np.zeros(photo.size, np.uint8)
        # Crowds first, so that objects lie over them.
        for one in sorted(photo.objects, key=lambda o: (not o.crowd, -o.area)):
            try:
                draw = draw_polygons if isinstance(one.outline, list) else draw_runs
                inside = draw(one.outline, photo.size)
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                raise DataError(
                    f"{self.path}: an outline in {file} is damaged ({error}); remove it."
                ) from error
            mask[inside] = IGNORE if one.crowd else classes.index(one.name)
        return mask


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file has COCO's form."""
    return isinstance(content, dict) and {"images", "categories"} <= set(content)


def read_coco(path: str | os.PathLike[str], content: Any = None) -> Coco:
    """Reads a file of instances.

    Args:
        path: the file.
        content: what it holds, where it has been read already.

    Raises:
        DataError: it is missing, or not of COCO's form.
    """
    content = read_json(path) if content is None else content
    if not is_coco(content):
        raise DataError(f"{path} has no COCO instances (images, categories, annotations).")
    try:
        names = _names(content["categories"])
        photos = _photos(content, names)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{path} is no file of COCO instances: wrong or missing {error}; correct it."
        ) from error
    if not photos or not names:
        raise DataError(f"{path} names no photo or no category.")
    by_id = tuple(names[number] for number in sorted(names) if not is_background(names[number]))
    if len(set(by_id)) != len(by_id):
        raise DataError(f"{path}: two categories have one name; rename one.")
    known = all(COCO_IDS.get(number) == name for number, name in names.items())
    return Coco(Path(path), COCO_CLASSES[1:] if known else by_id, photos)


def _names(categories: Any) -> dict[int, str]:
    """The names of the categories by their id."""
    names: dict[int, str] = {}
    for one in categories:
        number = _number(one["id"], "category id")
        if number in names:
            raise ValueError(f"category id {number}, which is given twice")
        names[number] = plain_name(str(one["name"]))
    return names


def _photos(content: dict[str, Any], names: dict[int, str]) -> dict[str, CocoPhoto]:
    objects: dict[int, list[Instance]] = {}
    photos: dict[str, CocoPhoto] = {}
    for one in content["images"]:
        number, file = _number(one["id"], "image id"), str(one["file_name"])
        size = (int(one["height"]), int(one["width"]))
        if number in objects or file in photos:
            raise ValueError(f"image {number}, {file}, which is given twice")
        if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
            raise ValueError(f"size {size} of {file}")
        objects[number] = []
        photos[file] = CocoPhoto(file, size, ())
    files = dict(zip(objects, photos, strict=True))
    for one in content.get("annotations") or ():
        category = _number(one["category_id"], "category_id")
        number = _number(one["image_id"], "image_id")
        if category not in names or number not in objects:
            raise ValueError(f"category {category} or image {number} of an annotation")
        if not is_background(names[category]):
            crowd, area = bool(int(one.get("iscrowd") or 0)), float(one.get("area") or 0)
            outline = one.get("segmentation") or []
            objects[number].append(Instance(names[category], crowd, area, outline))
    return {
        file: photos[file]._replace(objects=tuple(objects[number]))
        for number, file in files.items()
    }


def _number(value: Any, what: str) -> int:
    """An id: a whole number, as text or with a decimal point too."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{what} {value}")
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} {value!r}, which is no whole number") from error
