"""Masks for any folder of photos, from a trained segmenter.

    python -m experiments.predict --checkpoint=DIR --images=DIR --out=DIR [--crf]

DIR is the work folder of `experiments.train`, or its `segmenter` folder. `OUT/NAME.png` is a
palette PNG of the photo's size; a photo that has one already is left as it is. Exit status: 0
all well, 2 the input cannot be used, 3 done, but photos had to be left out.
"""

import errno
import hashlib
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import logging
from etils.epath import Path as EPath
from etils.epath import PathLike

from wsgcn_jax import interrupt
from wsgcn_jax.compiler import keep_compiled_programs
from wsgcn_jax.crf import DEEPLAB
from wsgcn_jax.data.class_list import check_classes, write_classes
from wsgcn_jax.data.files import check_folder, read_bytes, write_atomic
from wsgcn_jax.data.lists.walk import walk
from wsgcn_jax.data.outputs import check_foreign, check_output
from wsgcn_jax.data.photos import MAX_BYTES, SUFFIXES, decode_photo, photo_size
from wsgcn_jax.folders import absolute
from wsgcn_jax.locks import locked
from wsgcn_jax.pipeline.predict import predict
from wsgcn_jax.pipeline.saved_segmenter import Segmenter, load_segmenter
from wsgcn_jax.types import DataError, Skipped, printable

from .command import Parser, fail, fail_on_disk_error, log_skipped
from .huge_pages import restart_with_huge_pages

STAMP = "predict.json"


@interrupt.guard()
def main(argv: Sequence[str]) -> int:
    """Predicts; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--checkpoint", required=True, help="of a trained segmenter")
    parser.add_argument("--images", type=Path, required=True, help="folder of photos")
    parser.add_argument("--out", type=Path, required=True, help="where the masks go")
    parser.add_argument("--crf", action="store_true", help="draw the masks to the photos' edges")
    options = parser.parse_args(argv)
    logging.set_verbosity(logging.WARNING)
    keep_compiled_programs()
    # Strange metadata of a photo is not for the user's eyes.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        skipped = predict_folder(options.checkpoint, options.images, options.out, crf=options.crf)
    except DataError as error:
        return fail(str(error))
    except OSError as error:
        return fail_on_disk_error(error, options.out)
    return log_skipped(skipped)


def predict_folder(checkpoint: PathLike, images: Path, out: Path, *, crf: bool) -> list[Skipped]:
    """Writes a mask for every photo of a folder and of the folders in it.

    Args:
        checkpoint: a work folder, or a segmenter's folder.
        images: the photos; files of other kinds are passed over.
        out: where the masks go, in the same sub-folders.
        crf: whether to refine the masks.

    Returns:
        The photos that cannot be read, and why.

    Raises:
        DataError: a folder cannot be used.
    """
    files = _photos(images, out)
    check_output(
        (out, *{(out / file).parent for file in files}), {"the network's folder": checkpoint}
    )
    check_foreign(out, STAMP)
    segmenter = load_segmenter(absolute(checkpoint))
    with locked(EPath(out)):
        return _predict(segmenter, images, files, out, crf=crf)


def _predict(
    segmenter: Segmenter, images: Path, files: list[Path], out: Path, *, crf: bool
) -> list[Skipped]:
    """Writes the masks of these files, and returns those that cannot be read."""
    check_classes(out, segmenter.description.classes)
    _stamp(out, segmenter, crf=crf)
    write_classes(out, segmenter.description.classes)
    skipped, readable, sizes = [], [], []
    for file in files:
        try:
            sizes.append(photo_size(images / file))
            readable.append(file)
        except DataError as error:
            skipped.append(Skipped(str(file), str(error)))

    def read(index: int) -> np.ndarray:
        path = images / readable[index]
        photo = decode_photo(read_bytes(path, what="photo", most=MAX_BYTES), name=f"photo {path}")
        if photo.shape[:2] != sizes[index]:
            raise DataError(f"photo {path} changed, or its metadata lies; save it again.")
        return photo

    broken = predict(
        segmenter,
        sizes,
        read,
        lambda index: out / readable[index].with_suffix(".png"),
        "masks",
        crf=DEEPLAB if crf else None,
    )
    skipped += [Skipped(str(readable[index]), reason) for index, reason in broken]
    if len(skipped) == len(files):
        raise DataError(f"all {len(files)} photos were left out: {skipped[0].reason}")
    return skipped


def _photos(images: Path, out: Path) -> list[Path]:
    """The photos below a folder, relative to it; each mask's name must be one photo's only."""
    check_folder(images, what="the photo folder", fix="give another by --images")
    found = walk(images)
    if any(out.resolve().is_relative_to(place) for place in found.places):
        raise DataError(f"{out} lies in {images}: masks would be taken for photos; move --out.")
    for name, why in found.lost.items():
        print(printable(f"left out: {name}: it {why}"), file=sys.stderr)
    files: dict[Path, Path] = {}
    for file in sorted(map(Path, found.names())):
        if file.suffix.lower() not in SUFFIXES:
            continue
        other = files.setdefault(file.with_suffix(""), file)
        if other != file:
            raise DataError(f"{images}: {other} and {file} would share one mask; rename one.")
    folders = {folder for file in files.values() for folder in file.parents}
    for file in files.values():
        if file.with_suffix(".png") in folders:
            raise DataError(
                f"{images}: the mask of {file} and the folder {file.with_suffix('.png')} would "
                "share one name; rename one."
            )
    for folder in dict.fromkeys((out / file).parent for file in files.values()):
        if any(folder.resolve().is_relative_to(place) for place in found.places):
            raise DataError(
                f"{folder} leads into {images}: masks would lie among photos; move --out."
            )
    if not files:
        raise DataError(f"{images} holds no photo ({', '.join(SUFFIXES)}); give another folder.")
    return list(files.values())


def _stamp(out: Path, segmenter: Segmenter, *, crf: bool) -> None:
    """Says in the folder what makes its masks, so that two networks' masks never mix."""
    weights = hashlib.sha256()
    for leaf in jax.tree.leaves(segmenter.network.variables):
        weights.update(np.asarray(leaf).tobytes())
    made_by = {
        "classes": segmenter.description.classes,
        "network": weights.hexdigest()[:16],
        "settings": segmenter.description._asdict(),
        "crf": crf,
    }
    text = json.dumps(made_by, indent=1)
    path = out / STAMP
    if path.is_file() and path.read_text(errors="replace") != text:
        raise DataError(f"{out} holds masks of another network or setting; give another --out.")
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise DataError(f"{out} cannot be written ({error.strerror}); give another.") from error


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main(sys.argv[1:]))
