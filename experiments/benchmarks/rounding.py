"""Labels of real photos under an accelerator's rounding, emulated on a CPU, against float32's.

Every photo gets its own seeds, walk and fit, from the same boundary map, features and CAMs. With
--workdir these are of that run's networks (configs/voc_animals.py); without, they are made from
colour gradients and a centre-surround rule. The walk has the form that the accelerator would run.
Each rounding is a process of its own, without the compilation cache: a program does not tell what
its lowering was.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
from etils.epath import Path as EPath

from wsgcn_jax.graph.fast_walk import Form, best_form
from wsgcn_jax.pipeline.label_photo import PhotoInputs, label_photo
from wsgcn_jax.pipeline.label_program import label_options
from wsgcn_jax.pipeline.scores import argmax_labels
from wsgcn_jax.pipeline.workfolder.workspace import write_arrays
from wsgcn_jax.resize import resize_maps
from wsgcn_jax.settings import load_config

from ..emulated_rounding import BACKENDS, emulate
from .walk_inputs import make_cases

NONE = "none"
FORMS = get_args(Form)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--root", type=Path, required=True, help="folder that holds JPEGImages")
    parser.add_argument("--workdir", type=Path, help="of a run with a trained boundary network")
    parser.add_argument("--photos", type=int, default=8, help="how many (default 8)")
    parser.add_argument("--size", type=int, nargs=2, default=(375, 500), help="of photos")
    parser.add_argument("--longer-side", type=int, default=250, help="they get (default 250)")
    parser.add_argument("--epochs", type=int, default=100, help="of the fit (default 100)")
    parser.add_argument("--form", choices=FORMS, help="of the walk (default: each device's own)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures; returns the figures.

    Returns:
        `tf32_min` and `bf16_min`, percent of labels equal to float32's on the worst photo, the
        percent of each photo, and the form of the walk under either.
    """
    config = load_config("voc_animals").unlock()
    config.gcn.epochs = options.epochs
    cases = make_cases(
        options.root,
        options.workdir,
        config,
        photos=options.photos,
        full=0,
        longer=options.longer_side,
        size=tuple(options.size),
    )
    forms = {rounding: options.form or best_form(BACKENDS[rounding]) for rounding in BACKENDS}
    figures: dict[str, Any] = {"forms": forms, "photos": [case.name for case in cases]}
    with tempfile.TemporaryDirectory() as folder:
        for index, case in enumerate(cases):
            inputs = case.inputs._replace(key=jax.random.key_data(case.inputs.key), seeds=None)
            arrays = {k: np.asarray(v) for k, v in inputs._asdict().items() if v is not None}
            write_arrays(EPath(folder) / f"{index}.npz", {**arrays, "size": np.asarray(case.size)})

        @cache
        def labels(rounding: str, form: str) -> list[np.ndarray]:
            arguments = [rounding, folder, str(options.epochs), form]
            subprocess.run([sys.executable, "-W", "ignore", "-m", __name__, *arguments], check=True)
            return [np.load(Path(folder) / f"{rounding}_{i}.npy") for i in range(len(cases))]

        for rounding, form in forms.items():
            pairs = zip(labels(rounding, form), labels(NONE, form), strict=True)
            same = [100 * float((one == exact).mean()) for one, exact in pairs]
            figures[f"{rounding}_each"] = [round(one, 3) for one in same]
            figures[f"{rounding}_min"] = round(min(same), 3)
            print(f"{rounding}, {form}: {min(same):.3f} % on the worst of {len(same)} photos")
    return figures


def _label(rounding: str, folder: str, epochs: str, form: str) -> None:
    """Labels the photos of a folder; a process of its own."""
    if rounding != NONE:
        emulate(rounding)
    config = load_config("voc_animals").unlock()
    config.gcn.epochs, config.graph.form = int(epochs), form
    one = jax.jit(partial(label_photo, **label_options(config)))
    for path in sorted(Path(folder).glob("[0-9]*.npz")):
        with np.load(path) as file:
            arrays = dict(file)
        height, width = arrays.pop("size").tolist()
        photo = PhotoInputs(**arrays)
        found = one(photo._replace(key=jax.random.wrap_key_data(photo.key)))
        class_ids = np.concatenate([[0], np.flatnonzero(photo.present) + 1]).astype(np.uint8)
        scores = np.asarray(found.log_probs)[class_ids]
        full = resize_maps(scores, (height, width), align_corners=True)
        np.save(Path(folder) / f"{rounding}_{path.stem}.npy", argmax_labels(full, class_ids))


if __name__ == "__main__":
    _label(*sys.argv[1:])
