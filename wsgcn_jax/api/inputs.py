"""Photos, labels and masks as users hold them, laid out as the folder that the stages read."""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from wsgcn_jax import data
from wsgcn_jax.checks import as_array
from wsgcn_jax.data.class_list import class_names
from wsgcn_jax.data.files import can_name, read_bytes, write_atomic
from wsgcn_jax.data.photos import decode_photo
from wsgcn_jax.types import IGNORE, DataError

PathLike = str | os.PathLike[str]
PhotoList = Sequence[np.ndarray] | Sequence[PathLike]
"""Arrays `[h, w, 3] u8`, or files."""

Images = PhotoList | PathLike
"""Arrays `[h, w, 3] u8`, files, or a folder of photos with a list of labels in it."""

Labels = Sequence[Collection[str]] | PathLike | None
"""The class names in every photo, a list's file, or None for the folder's own list."""

_LIST = "labels.jsonl"


class Folder(NamedTuple):
    """What the sources of photos read.

    Attributes:
        root: the folder of the photos.
        labels: their list; None: the one that lies there.
        masks: the folder of their true masks, or None.
    """

    root: Path
    labels: Path | None
    masks: Path | None


def lay_out(
    images: Images, labels: Labels, masks: Sequence[np.ndarray] | None, folder: Path
) -> Folder:
    """Writes arrays as files and labels as a list; files stay where they are.

    Args:
        images: the photos.
        labels: their classes, in the same order.
        masks: their true masks `[h, w] u8`, in the same order, or None.
        folder: what is written goes into a folder in it that is named after the content, so that
            other photos never replace these.

    Raises:
        DataError: there are not as many labels or masks as photos, or one is of a wrong kind.
    """
    if isinstance(images, str | os.PathLike):
        if labels is not None and not isinstance(labels, str | os.PathLike):
            raise DataError(f"{images} is a folder, so give labels as a list's file, or none")
        if masks is not None:
            raise DataError(f"{images} is a folder, so its masks cannot be given as arrays")
        listed = None if labels is None else Path(labels).absolute()
        return Folder(Path(images).absolute(), listed, None)
    if labels is None or isinstance(labels, str | os.PathLike):
        raise DataError("photos that are no folder need their labels as a list, one entry a photo")
    for what, given in (("images", images), ("labels", labels), ("masks", masks)):
        if given is not None and not hasattr(given, "__len__"):
            raise DataError(f"{what}: {type(given).__name__} has no length; give a list")
        if isinstance(given, Set | Mapping):
            raise DataError(f"{what}: {type(given).__name__} has no order; give a list")
    if isinstance(labels, np.ndarray) and labels.dtype.kind not in "UO":
        raise DataError(f"labels are an array of {labels.dtype}; give the names in every photo")
    count = len(images)
    for what, given in (("labels", labels), ("masks", masks)):
        if given is not None and len(given) != count:
            raise DataError(f"{len(given)} {what} for {count} photos; give one for every photo")
    if not count:
        raise DataError("there is no photo; give at least one")
    words = [_names(names, index) for index, names in enumerate(labels)]
    if all(len(names) > 1 and {"0", "1"}.issuperset(names) for names in words):
        raise DataError("labels are a table of 0 and 1; give the names in every photo")
    if masks is not None:
        masks = [check_mask(mask, f"mask {index}") for index, mask in enumerate(masks)]
    folder = folder / _content(images, words, masks or ())
    root, files = _files(images, folder)
    lines = [
        json.dumps({"file": file, "labels": names}, ensure_ascii=False)
        for file, names in zip(files, words, strict=True)
    ]
    write_atomic(folder / _LIST, ("\n".join(lines) + "\n").encode())
    if masks is None:
        return Folder(root, folder / _LIST, None)
    for file, mask in zip(files, masks, strict=True):
        path = (folder / "masks" / file).with_suffix(".png")
        data.write_mask(path, mask)
    return Folder(root, folder / _LIST, folder / "masks")


def read_photo(image: np.ndarray | PathLike, index: int) -> np.ndarray:
    """Returns a photo `[h, w, 3] u8`, of an array or of a file.

    Raises:
        DataError: it is none.
    """
    if isinstance(image, str | os.PathLike):
        return decode_photo(read_bytes(image, what="photo"), name=f"photo {image}")
    array = as_array(image, f"photo {index}")
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise DataError(
            f"photo {index} is {array.dtype} {array.shape}; give [h, w, 3] uint8, RGB from 0 to 255"
        )
    return array


def check_mask(mask: np.ndarray, what: str) -> np.ndarray:
    """Returns a mask as `[h, w] u8`, of whole numbers of any type.

    Args:
        mask: `[h, w]`, class ids and 255 where nothing is known.
        what: its name in errors.

    Raises:
        DataError: it is none; a number that bytes do not hold would become another class.
    """
    array = as_array(mask, what)
    if array.ndim != 2 or array.dtype.kind not in "iub" or not array.size:
        raise DataError(
            f"{what} is {array.dtype} {array.shape}; give [h, w] uint8, class ids and {IGNORE} "
            "where nothing is known"
        )
    for value in (array.min(), array.max()):
        if not 0 <= value <= IGNORE:
            raise DataError(
                f"{what} holds {value}; class ids go from 0, and {IGNORE} is where nothing is known"
            )
    return array.astype(np.uint8)


def named_classes(classes: Sequence[str] | None) -> tuple[str, ...] | None:
    """Returns the names of objects; background, which comes first of itself, may be among them.

    Raises:
        DataError: they are one text or have no order, or one is no name or given twice.
    """
    if isinstance(classes, str | Set | Mapping):
        raise DataError(f"classes are {classes!r:.100}; give a list of names")
    return None if classes is None else class_names(classes, where="classes")[1:]


def _content(images: PhotoList, words: Sequence[Sequence[str]], masks: Sequence[np.ndarray]) -> str:
    """A short hash of all that was given."""
    known = hashlib.sha256(json.dumps([words, len(images)]).encode())
    for given in (*images, *masks):
        if isinstance(given, str | os.PathLike):
            known.update(os.fsencode(os.path.abspath(given)))
        else:
            array = np.ascontiguousarray(as_array(given, "a photo"))
            known.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return known.hexdigest()[:12]


def _files(images: PhotoList, folder: Path) -> tuple[Path, list]:
    """The folder that all photos are in, and their names in it."""
    are_files = {isinstance(image, str | os.PathLike) for image in images}
    if are_files == {True, False}:
        raise DataError("some photos are arrays and some are files; give one kind")
    if are_files == {True}:
        paths = [Path(os.path.abspath(os.fspath(image))) for image in images]  # type: ignore[arg-type]
        if twice := next((path for path, n in Counter(paths).items() if n > 1), None):
            raise DataError(f"photo {twice} is given twice; give it once, with all its labels")
        root = Path(os.path.commonpath([path.parent for path in paths]))
        return root, [path.relative_to(root).as_posix() for path in paths]
    files = [f"{index:05d}.png" for index in range(len(images))]
    for index, (file, image) in enumerate(zip(files, images, strict=True)):
        _write_photo(folder / "photos" / file, read_photo(image, index))
    return folder / "photos", files


def _write_photo(path: Path, photo: np.ndarray) -> None:
    """Writes a photo as a PNG, unless it is there."""
    if path.is_file():
        with Image.open(path, formats=["PNG"]) as old:
            if np.array_equal(np.asarray(old), photo):
                return
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, format="PNG", compress_level=1)
    write_atomic(path, buffer.getvalue())


def _names(names: Collection[str], index: int) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Collection):
        raise DataError(f"labels of photo {index} are {names!r}; give a list of names, or []")
    for name in names:
        number = isinstance(name, int | np.integer) and not isinstance(name, bool)
        if not number and not (isinstance(name, str) and can_name(name)):
            raise DataError(f"labels of photo {index} hold {name!r}, which is no name")
    words = map(str, names)
    return list(words if isinstance(names, Sequence) else sorted(words))
