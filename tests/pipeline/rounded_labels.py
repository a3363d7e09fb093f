"""Labels of drawn photos under emulated rounding, as a process of its own:

python rounded_labels.py none|tf32|bf16 FORM_OF_THE_WALK FILE.npz
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np
from pipeline import tiny_labels

from experiments.emulated_rounding import MANTISSA_BITS, emulate
from wsgcn_jax.crf import GCN_PROBABILITIES, refine
from wsgcn_jax.pipeline.label_photo import label_photo, seeds_of_walk

PHOTOS = 4


def main(rounding, form, file):
    """Writes what the graph part and the CRF find in the drawn photos."""
    if rounding in MANTISSA_BITS:
        emulate(rounding)
    photos = tiny_labels.photos(range(PHOTOS))
    options = {"radius": 3, "form": form, "basis": 16, "epochs": 60, "learning_rate": 0.05}
    one = partial(label_photo, seed_rule=partial(seeds_of_walk, margin=0.5), **options)
    found = jax.jit(jax.vmap(one))(photos)
    rgb = np.asarray(photos.rgb * 255, np.float32)
    refined = refine(rgb, np.exp(found.log_probs), GCN_PROBABILITIES, kernel="exact")
    np.savez(
        file,
        walk=found.walk,
        seeds=found.seeds,
        labels=found.log_probs.argmax(axis=1),
        refined=np.asarray(refined).argmax(axis=1),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
