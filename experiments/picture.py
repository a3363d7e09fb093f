"""Draws the picture at the top of the README: two photos on their way to masks.

    python -m experiments.picture --out=docs/pipeline.png

The photos are those of scikit-image (`pip install scikit-image`), the words cat and cup; the head
of ImageNet gives the CAMs, the boundary network is trained on the two. Two minutes on two cores.
"""

import sys
import tempfile
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image

import wsgcn_jax as ws
from wsgcn_jax.pipeline.cams import read_cams
from wsgcn_jax.pipeline.workfolder.workspace import read_arrays

from .command import Parser

TITLES = ("photo, label", "class activation map", "boundary map", "random walk", "GCN", "mask")
SETTINGS = {
    "classifier.head": "imagenet",
    "classifier.epochs": 0,
    "segmenter.presence": False,
    "cams.sources": "imagenet",
    "cams.scales": (0.5, 1.0, 1.5),
    "boundary.min_steps": 60,
    "stages": "data,classifier,cams,boundary,pseudo_labels",
}


def main(argv: Sequence[str]) -> int:
    """Makes the run and writes the picture; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument("--out", required=True, metavar="FILE", help="the picture")
    options = parser.parse_args(argv)
    import skimage  # only here, and no part of the package's own requirements

    photos = [skimage.data.chelsea(), skimage.data.coffee()]
    words = ("cat", "cup")
    with tempfile.TemporaryDirectory() as folder:
        labels = [{word} for word in words]
        run = ws.train(photos, labels, classes=words, workdir=folder, settings=SETTINGS)
        rows = [
            _row(photo, word, run, index)
            for index, (photo, word) in enumerate(zip(photos, words, strict=True))
        ]
    width = max(row.width for row in rows)
    picture = Image.new("RGB", (width, sum(row.height + 6 for row in rows)), "white")
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height + 6
    picture.save(options.out, optimize=True)
    return 0


def _row(photo: np.ndarray, word: str, run: ws.Run, index: int) -> Image.Image:
    """The stages of one photo beside each other."""
    name = run.names[index]
    arrays = read_arrays(epath.Path(run.workdir) / "pseudo_labels" / f"{name}.npz")
    cams, _ = read_cams(epath.Path(run.workdir) / "cams", name)
    walk, probabilities = arrays["walk"][0], np.exp(arrays["log_probs"][1].astype(np.float32))
    pictures: list[np.ndarray | Image.Image] = [
        photo,
        ws.plot.heat(photo, cams[0]),
        ws.plot.heat(photo, arrays["boundary"]),
        ws.plot.heat(photo, walk / max(walk.max(), 1e-9)),
        ws.plot.heat(photo, probabilities),
        ws.plot.overlay(photo, run.pseudo_labels[index]),
    ]
    titles = [f"photo, “{word}”", *TITLES[1:]]
    return ws.plot.row(pictures, titles=titles, height=140)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
