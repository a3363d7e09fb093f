"""CAMs as other projects write them, known by their content: one file a photo.

| content | who writes it | class ids |
|---|---|---|
| `.npy`, a dictionary with `keys` and `cam` or `high_res` | IRNet and what builds on it | from 0 |
| `.npy`, a dictionary with `keys` and `attn_highres` | CLIP-ES | from 0, or with background |
| `.npy`, a dictionary {class: map} | PSA, SEAM, MCTformer, WeTr | from 0, or with background |
| `.npy` or `.npz`, one array `[k, h, w]` | anyone | the photo's labels in order, or all |
| `.npz` with `keys` and `cam` | anyone | as in masks |
| `.npz` with `class_ids` and `cam` | a run's stage `cams` | as in masks |
| `.png`, a mask | WeCLIP and others: pseudo labels | as in masks |

"From 0" leaves background out: 7 is the eighth class, which is 8 in masks. Where a writer has both
habits, the photo's labels decide. Maps of the dictionaries are divided by their maximum where they
lie outside 0..1, as their projects do; other values outside are refused.
"""

from typing import NamedTuple

import numpy as np
from etils.epath import Path

from wsgcn_jax.models.torch_weights import TENSOR_CALLS
from wsgcn_jax.numpy_pickles import read_npy, read_npz
from wsgcn_jax.pipeline.external.map_files import (
    Facts,
    array,
    check_fits,
    decode_label_map,
    find,
    in_range,
    read_limited,
    reason,
)
from wsgcn_jax.types import IGNORE, DataError

_MAPS = {"cam": "IRNet", "attn_highres": "CLIP-ES", "high_res": "IRNet", "highres": "CLIP-ES"}
_AS_MASKS = "as in masks"
_FORMS = (
    "give a file of IRNet, SEAM, PSA, CLIP-ES or MCTformer, an array [k, h, w] in 0..1, or an .npz "
    "with cam [k, h, w] and keys [k]"
)


class Cams(NamedTuple):
    """A photo's CAMs.

    Attributes:
        maps: `[k, h, w] f32` in [0, 1], of the photo's labels.
        form: what the file was taken for: its writer, class ids and values.
    """

    maps: np.ndarray
    form: str


class _Content(NamedTuple):
    """A file as it stands.

    Attributes:
        maps: `[k, h, w]`.
        readings: what the class ids of the maps may be, as in masks, and how they are counted.
        writer: who writes such files.
        scaled: see `in_range`.
    """

    maps: np.ndarray
    readings: tuple[tuple[list[int], str], ...]
    writer: str
    scaled: bool


def read_cams(folder: Path, name: str, facts: Facts) -> Cams:
    """Reads a photo's CAMs of the classes it is labelled with.

    Args:
        folder: of the files: `NAME.npy`, `NAME.npz` or `NAME.png`.
        name: of the photo.
        facts: about the photo.

    Returns:
        Maps of `facts.labels`, in that order.

    Raises:
        DataError: there is no such file; it is damaged, too large or something else; a class of
            the photo has no map, or the maps have not the photo's shape.
    """
    path = find(folder, name, (".npy", ".npz", ".png"), "CAM")
    data = read_limited(path, "CAM", facts)
    try:
        content = {".npy": _read_npy, ".npz": _read_npz, ".png": _read_png}[path.suffix](
            data, facts
        )
        if content.maps.ndim != 3 or len(content.maps) != len(content.readings[0][0]):
            raise ValueError(
                f"maps are {content.maps.shape}, but there are {len(content.readings[0][0])} keys"
            )
        check_fits(content.maps.shape[1:], facts.size)
        ids, counted = _reading(content, facts)
        maps = content.maps[[ids.index(label) for label in facts.labels]]
        maps, values = in_range(maps, scaled=content.scaled)
    except Exception as error:  # a hostile or broken file may raise anything
        raise DataError(f"CAM {path} is refused ({reason(error)}); {_FORMS}.") from error
    return Cams(maps, f"{content.writer}; class ids {counted}; values {values}")


def _reading(content: _Content, facts: Facts) -> tuple[list[int], str]:
    """Chooses the reading of the class ids that names the photo's labels, best of all only them."""
    wanted = set(facts.labels)
    fitting = [
        reading
        for reading in content.readings
        if wanted <= set(reading[0]) and max(reading[0]) < facts.classes
    ]
    for ids, counted in fitting:
        if set(ids) - {0} == wanted:
            return ids, counted
    if fitting:
        return fitting[0]
    ids, counted = content.readings[0]
    raise ValueError(
        f"it has the classes {ids[:20]}, counted {counted}, but the photo is labelled "
        f"{', '.join(map(str, facts.labels))}: correct labels, CAMs or the list of classes"
    )


def _read_npy(data: bytes, facts: Facts) -> _Content:
    content = read_npy(data, TENSOR_CALLS)
    if isinstance(content, np.ndarray):
        return _plain(content, facts)
    if not isinstance(content, dict) or not content:
        raise ValueError("it holds neither an array nor a dictionary of maps")
    if "keys" in content:
        name = next((name for name in _MAPS if name in content), None)
        if name is None:
            raise ValueError(f"beside keys it has none of {', '.join(_MAPS)}")
        maps, keys = array(content[name]), _keys(array(content["keys"]))
        writer = f"{_MAPS[name]}'s {name}"
        if len(keys) == len(maps) + 1 and keys[0] == 0:  # background has a key, but no map
            return _Content(maps, ((keys[1:], "with background"),), writer, True)
    else:
        if not all(isinstance(key, (int, np.integer)) for key in content):
            raise ValueError("its entries are neither keys and maps nor {class: map}")
        maps = np.stack(_alike([array(value) for value in content.values()], facts))
        keys = _keys(np.asarray([int(key) for key in content]))
        writer = "{class: map}, as of PSA, SEAM, MCTformer and WeTr"
    readings = [([key + 1 for key in keys], "from 0")]
    if 0 in keys:
        readings.append((keys, "with background"))
    return _Content(maps, tuple(readings), writer, True)


def _read_npz(data: bytes, facts: Facts) -> _Content:
    arrays = read_npz(data, facts.most_bytes())
    if len(arrays) == 1:
        return _plain(next(iter(arrays.values())), facts)
    keys = arrays["class_ids"] if "class_ids" in arrays else arrays["keys"]
    readings = ((_keys(keys), _AS_MASKS),)
    return _Content(arrays["cam"], readings, "an .npz of cam and keys", False)


def _read_png(data: bytes, facts: Facts) -> _Content:
    mask = decode_label_map(data, facts)
    values = set(np.unique(mask).tolist())
    if facts.labels and values == {0, IGNORE}:
        raise ValueError(f"it holds only 0 and {IGNORE}, which here means unknown: write class ids")
    # A class that is not there has a map all the same: the photo's label says it should have one.
    ids = sorted({0, *facts.labels, *values} - {IGNORE})
    maps = mask[None] == np.asarray(ids, np.uint8)[:, None, None]
    return _Content(maps, ((ids, _AS_MASKS),), "pseudo labels as a PNG (WeCLIP's)", False)


def _plain(maps: np.ndarray, facts: Facts) -> _Content:
    """An array without a word: its number of maps says of which classes they are."""
    if maps.ndim == 2:
        maps = maps[None]
    known = {
        facts.classes: (list(range(facts.classes)), "with background, all classes"),
        facts.classes - 1: (list(range(1, facts.classes)), "all without background"),
        len(facts.labels): (list(facts.labels), "those of the photo's labels, in order"),
    }
    if maps.ndim != 3 or len(maps) not in known:
        raise ValueError(
            f"it is an array {maps.shape} of a photo with {len(facts.labels)} labels among "
            f"{facts.classes - 1} classes"
        )
    return _Content(maps, (known[len(maps)],), "an array [k, h, w]", False)


def _keys(keys: np.ndarray) -> list[int]:
    """Checks class numbers `[k]`."""
    if keys.ndim != 1 or keys.dtype.kind not in "iu" or not keys.size:
        raise ValueError("keys are no class numbers")
    if keys.min() < 0 or keys.max() >= IGNORE or len(np.unique(keys)) != keys.size:
        raise ValueError("keys are not different class numbers from 0 to 254")
    return [int(key) for key in keys]


def _alike(maps: list[np.ndarray], facts: Facts) -> list[np.ndarray]:
    """Refuses maps of several shapes, and more than there can be: they may share their numbers."""
    if len({x.shape for x in maps}) != 1 or maps[0].ndim != 2:
        raise ValueError("its maps are not [h, w] of one shape")
    if len(maps) > facts.classes:
        raise ValueError(f"it holds {len(maps)} maps, but there are {facts.classes - 1} classes")
    check_fits(maps[0].shape, facts.size)
    return maps
