"""Pseudo labels of five tiny photos, as a process of its own: python tiny_labels.py FOLDER.

Writes FOLDER/INDEX.npz for each photo that this host works on, and FOLDER/HOST.npz with what was
found by any host. Photos are drawn; boundary maps, features and CAMs follow from the drawing.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from configs import test as tiny
from wsgcn_jax.distributed import any_across_hosts, over_devices
from wsgcn_jax.hosts import join_hosts
from wsgcn_jax.pipeline.inference import make_plans
from wsgcn_jax.pipeline.label_photo import PhotoInputs
from wsgcn_jax.pipeline.label_program import make_label_program
from wsgcn_jax.pipeline.run_plans import run_plans

PHOTOS, SIDE = 5, 20


def photos(indices):
    """A square on a ground, somewhere else in each photo."""
    y, x = np.mgrid[:SIDE, :SIDE]
    each = []
    for index in indices:
        rng = np.random.default_rng(index)
        away = np.maximum(np.abs(y - rng.integers(7, 13)), np.abs(x - rng.integers(7, 13)))
        inside = (away < 5).astype(np.float32)
        edge = np.where(away == 5, 0.9, 0.03 * rng.random((SIDE, SIDE)))
        noise = rng.normal(size=(SIDE, SIDE, 3))
        cam = np.clip(1.1 - away / 6 + 0.02 * noise[..., 0], 0, 1)
        rgb = np.clip(0.2 + 0.5 * inside[..., None] + 0.05 * noise, 0, 1)
        each.append((edge, rgb, np.stack([cam, np.zeros_like(cam)])))
    edges, colours, cams = (np.stack(part).astype(np.float32) for part in zip(*each, strict=True))
    return PhotoInputs(
        jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.asarray(indices)),
        edges,
        np.concatenate([colours, colours**2], axis=-1),
        cams,
        np.tile([[True, False]], (len(indices), 1)),
        colours,
        np.ones((len(indices), SIDE, SIDE), bool),
    )


def program(**changes):
    """The graph part of the smallest configuration, by the fast walk."""
    config = tiny.get_config().unlock()
    config.graph.update(walk="fast", steps=64, basis=16, radius=3)
    config.crf.partial_labels = False
    config.gcn.update(epochs=40, learning_rate=0.1, **changes)
    return make_label_program(config.lock())


def main(folder, batch_size):
    """Works on this host's share."""
    label, failed = program(), np.zeros(PHOTOS, bool)
    # Weights that were loaded onto one device reach the others.
    loaded = jax.device_put(jnp.float32(2), jax.local_devices()[-1])
    doubled = over_devices(lambda weight, x: weight * x)(loaded, jnp.arange(3.0))
    np.testing.assert_array_equal(doubled, [0, 2, 4])

    def work(plan):
        outputs = jax.tree.map(np.asarray, label(photos(plan.indices)))
        for row, index in enumerate(plan.indices[: plan.real]):
            failed[index] = index == PHOTOS - 1  # as if; whichever host has it tells the other
            scores = outputs.log_probs[row]
            np.savez(folder / f"{index}.npz", scores=scores, labels=scores.argmax(axis=0))

    sizes = [(4 * SIDE, 4 * SIDE)] * PHOTOS
    plans = make_plans(sizes, batch_size=batch_size, bucket=4)
    run_plans(plans, lambda index: folder / f"{index}.npz", work, "labels")
    np.savez(folder / f"host{jax.process_index()}.npz", failed=any_across_hosts(failed))


if __name__ == "__main__":
    join_hosts()
    main(Path(sys.argv[1]), int(sys.argv[2]))
    print(f"{jax.device_count()} devices, {jax.process_count()} hosts")
