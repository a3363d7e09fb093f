"""Whether a mask fits its photo: its size, its classes, and which way up it is."""

import numpy as np

from wsgcn_jax.data.palette_png import decode_png, encode_png, is_grey
from wsgcn_jax.data.photos import open_image, orientation, stored_size, turned
from wsgcn_jax.types import IGNORE, DataError


def check_mask(
    data: bytes,
    photo: bytes,
    size: tuple[int, int],
    labels: tuple[int, ...],
    *,
    num_classes: int,
    files: tuple[str, str],
) -> bytes:
    """Checks a mask against its photo, and turns it upright with a photo that EXIF turns.

    Args:
        data: the encoded mask.
        photo: the encoded photo.
        size: (height, width) of the upright photo.
        labels: the photo's class ids.
        num_classes: with background.
        files: what to call photo and mask in errors.

    Returns:
        The encoded mask, of the upright photo.

    Raises:
        DataError: it cannot be read, does not fit, holds other classes, or belongs to the photo
            before or after its turn, nobody knows which.
    """
    photo_file, mask_file = files
    mask = decode_png(data, name=mask_file)
    with open_image(photo, name=photo_file) as image:
        turn, stored = orientation(image), stored_size(image)
    if turn != 1:
        if mask.shape == stored == size:
            raise DataError(
                f"{photo_file} is turned by its EXIF orientation ({turn}), and {mask_file} fits "
                "both ways; save the photo upright, without EXIF."
            )
        if mask.shape == stored:
            mask = turned(mask, turn)
            data = encode_png(mask)
    if mask.shape != size:
        raise DataError(
            f"{mask_file} is {mask.shape[1]}x{mask.shape[0]}, its photo {size[1]}x{size[0]}; "
            "save it at the photo's size."
        )
    present = np.unique(mask)
    if labels and is_grey(data) and present[-1] == IGNORE and set(present.tolist()) <= {0, IGNORE}:
        raise DataError(
            f"{mask_file} is grey and holds only 0 and {IGNORE}, which here means unknown; write "
            "the class ids."
        )
    wrong = present[(present >= num_classes) & (present != IGNORE)]
    if wrong.size:
        raise DataError(
            f"{mask_file} holds the class {wrong[0]}, but classes end at {num_classes - 1}; "
            f"use 0..{num_classes - 1} and {IGNORE} for ignore."
        )
    return data
