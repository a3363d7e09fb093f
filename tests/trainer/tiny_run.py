"""A tiny training run as a process of its own: python tiny_run.py FOLDER STEPS.

Photos are noise with a rule to learn; the network is one convolution; the data are drawn,
shared out among the hosts and checkpointed exactly as the pipeline's. The first host writes
FOLDER/curve.json and FOLDER/weights.npz.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from wsgcn_jax.distributed import is_primary
from wsgcn_jax.hosts import join_hosts
from wsgcn_jax.models.convolutions import conv
from wsgcn_jax.models.deeplab import segmentation_loss
from wsgcn_jax.pipeline.training import batches
from wsgcn_jax.trainer.loop import train
from wsgcn_jax.trainer.optim import grouped_sgd

BATCH = 16


class Photos:
    """40 photos of noise; the label is whether red exceeds green."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return np.random.default_rng(index).normal(size=(12, 12, 3)).astype(np.float32)


def augment(photo, rng):
    photo = photo + 0.1 * rng.normal(size=photo.shape).astype(np.float32)
    label = (photo[..., 0] > photo[..., 1]).astype(np.uint8)
    # Unequal numbers of labelled pixels: a mean of the devices' means would be another loss.
    label[rng.random(label.shape) < rng.random()] = 255
    return {"image": photo, "label_map": label}


def loss(params, statistics, batch):
    kernel = params["head"]["kernel"]
    logits = conv(batch["image"], kernel, padding=((1, 1), (1, 1)))
    mean = 0.9 * statistics["mean"] + 0.1 * batch["image"].mean()
    value = segmentation_loss(logits + params["head"]["bias"][None, None, None], batch["label_map"])
    return value, ({}, {"mean": mean})


def main(folder, steps):
    join_hosts()
    curve = {}
    trained = train(
        {"head": {"kernel": np.full((3, 3, 3, 2), 0.01, np.float32), "bias": np.zeros(2, "f")}},
        {"mean": jnp.zeros(())},
        batches(Photos(), augment, batch_size=BATCH, seed=1),
        loss=loss,
        optimiser=grouped_sgd({"all": 0.5}, lambda path: "all", steps=steps),
        steps=steps,
        folder=folder / "checkpoints",
        save_every=max(5, steps // 30),
        accumulate=2,
        report=lambda step, scalars: curve.update({step: scalars["loss"]}),
    )
    if is_primary():
        head = trained.params["head"]
        np.savez(folder / "weights.npz", mean=trained.statistics["mean"], **head)
        (folder / "curve.json").write_text(json.dumps(curve))
    print(f"{jax.device_count()} devices, {jax.process_count()} hosts")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
