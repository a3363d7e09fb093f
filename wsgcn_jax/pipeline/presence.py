"""Which classes a photo shows, by its features as a whole, and what that says about its pixels.

A segmenter of few photos finds an animal and calls its back a horse and its head a cow. A linear
classifier on the frozen backbone's features of the whole photo knows better: with few weights it
learns from few labels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils.epath import Path

from wsgcn_jax import data, interrupt
from wsgcn_jax.compiler import convolution_options
from wsgcn_jax.distributed import over_devices
from wsgcn_jax.models.backbone import make_backbone, normalise
from wsgcn_jax.models.cam import Classifier
from wsgcn_jax.models.network import Module, Network, variable_shapes
from wsgcn_jax.pipeline.inference import (
    longer_side_scale,
    make_plans,
    network_size,
    padded_photos,
    photos_a_batch,
    valid_mask,
)
from wsgcn_jax.pipeline.progress import Progress
from wsgcn_jax.precise import matmul
from wsgcn_jax.trainer.checkpoint import load_tree, save_tree

LONGER_SIDE = 384
"""At which the backbone sees a photo; ImageNet's are 224 pixels large."""

_BUCKET = 128
_MEGABYTES = 60.0  # that a photo takes
_DECAY = 0.1  # of the weights' Gaussian prior, against the sum of all photos' losses
_STEPS = 100
_FOLDER = "presence"

Presence = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Photos `[h, w, 3] u8` each -> logits `[b, c - 1] f32` of what they show; one bucket a call."""


def fit(net: Network, backbone: str, split: data.Split, learnable: np.ndarray) -> Network:
    """Fits a classifier's head to the labels of a split, by `fit_logistic`.

    Args:
        net: a classifier whose head has biases; its backbone stays as it is.
        backbone: the backbone's name.
        split: the photos and their labels.
        learnable: `[c - 1] bool`; of the other classes the weights are 0, and the logit says how
            many photos show them.

    Returns:
        The classifier.
    """
    features = _features(net, backbone, split)
    kernel, bias = fit_logistic(features, np.asarray(split.labels, np.float32))
    head = {"kernel": jnp.where(learnable[None], kernel, 0.0), "bias": bias}
    return net._replace(params={**net.params, "classifier": head})


def save(folder: Path, classifier: Network) -> None:
    """Writes a classifier into the segmenter's folder, for masks need no other one.

    Args:
        folder: of the segmenter's stage.
        classifier: of photos; one without biases has zeros from here on.
    """
    head = classifier.params["classifier"]
    head = {"bias": jnp.zeros(head["kernel"].shape[1], head["kernel"].dtype), **head}
    params = {**classifier.params, "classifier": head}
    save_tree(folder / _FOLDER, classifier._replace(params=params).variables)


def load(folder: Path, backbone: str, classes: int) -> Presence:
    """Reads the classifier that `save` wrote.

    Args:
        folder: of the segmenter's stage.
        backbone: the name of the classifier's backbone.
        classes: foreground classes.

    Raises:
        DataError: it is not there, or damaged.
    """
    module = _head(make_backbone(backbone), classes=classes)
    variables = load_tree(folder / _FOLDER, variable_shapes(module))
    program = over_devices(_on_photos(module, backbone), convolution_options())

    def presence(photos: Sequence[np.ndarray]) -> np.ndarray:
        sizes = [_seen_size((photo.shape[0], photo.shape[1])) for photo in photos]
        height, width = (max(sides) for sides in zip(*sizes, strict=True))
        shape = data.bucket_shape(height, width, _BUCKET)
        return np.asarray(program(variables, _batch(photos, sizes, shape)))

    return presence


@jax.jit
def reweigh(probabilities: jax.Array, presence: jax.Array) -> jax.Array:
    """Weighs objects' classes by how likely the photo shows them.

    Background keeps its probability; what is left is shared out among the others in proportion to
    their own times the photo's: $q_c = (1 - p_0) p_c w_c / \\sum_{k > 0} p_k w_k$.

    Args:
        probabilities: `[b, H, W, c] f32`, of every cell's classes, background first.
        presence: `[b, c - 1] f32`, logits of the classes' presence.

    Returns:
        `[b, H, W, c] f32`, summing to 1 as before.
    """
    tiny = jnp.finfo(probabilities.dtype).tiny
    logs = jnp.log(jnp.maximum(probabilities[..., 1:], tiny))
    shares = jax.nn.softmax(logs + jax.nn.log_sigmoid(presence)[:, None, None])
    background = probabilities[..., :1]
    objects = probabilities[..., 1:].sum(-1, keepdims=True)
    return jnp.concatenate([background, objects * shares], axis=-1)


@jax.jit
def fit_logistic(features: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Fits one logistic regression a class, by L-BFGS.

    Weights are drawn to zero by a Gaussian prior on features of mean square length 1 about their
    mean, so that few photos say little and many say what they show.

    Args:
        features: `[n, f] f32`.
        labels: `[n, c] f32`, 0 or 1.

    Returns:
        Weights `[f, c]` and biases `[c]` of the features as they are.
    """
    mean = features.mean(0, keepdims=True)
    x = features - mean
    length = jnp.maximum(jnp.sqrt(jnp.square(x).sum(1).mean()), jnp.finfo(x.dtype).eps)
    x = x / length
    # With a photo more of either kind: a class that no photo shows, or every one, stays finite.
    share = (labels.sum(0) + 1) / (len(labels) + 2)
    start = {
        "kernel": jnp.zeros((x.shape[1], labels.shape[1])),
        "bias": jnp.log(share / (1 - share)),
    }

    def loss(weights: dict[str, jax.Array]) -> jax.Array:
        logits = matmul(x, weights["kernel"]) + weights["bias"][None]
        fit = (jnp.logaddexp(0.0, logits) - labels * logits).sum()
        ends = (jnp.logaddexp(0.0, weights["bias"]) + jnp.logaddexp(0.0, -weights["bias"])).sum()
        return fit + ends + _DECAY / 2 * jnp.square(weights["kernel"]).sum()

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(_: int, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        weights, state = carry
        value, grad = value_and_grad(weights, state=state)
        change, state = solver.update(grad, state, weights, value=value, grad=grad, value_fn=loss)
        return optax.apply_updates(weights, change), state

    weights, _ = jax.lax.fori_loop(0, _STEPS, step, (start, solver.init(start)))
    kernel = weights["kernel"] / length
    return kernel, weights["bias"] - matmul(mean, kernel)[0]


def _head(backbone: Module, classes: int) -> Classifier:
    return Classifier(backbone, num_classes=classes, use_bias=True)


def _seen_size(size: tuple[int, int]) -> tuple[int, int]:
    return network_size(size, longer_side_scale(size, LONGER_SIDE))


def _batch(
    photos: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    return padded_photos(photos, sizes, shape), np.asarray(sizes, np.int32)


def _on_photos(module: Module, backbone: str, method: str | None = None) -> Callable[..., Any]:
    """Returns (variables, (padded photos, real sizes)) -> what the module gives; not compiled."""

    def program(variables: Any, batch: tuple[jax.Array, jax.Array]) -> Any:
        images, sizes = batch
        valid = valid_mask(sizes, (images.shape[1], images.shape[2]))
        x = normalise(images, backbone, valid)
        return module.apply(variables, x, valid, method=method)

    return program


def _features(net: Network, backbone: str, split: data.Split) -> np.ndarray:
    """The backbone's mean features of every photo, `[n, f] f32`."""
    sizes = [_seen_size(size) for size in split.sizes]
    pooled = _on_photos(net.module, backbone, method="pooled")
    program = over_devices(pooled, convolution_options())
    plans = make_plans(sizes, batch_size=photos_a_batch(None, _MEGABYTES), bucket=_BUCKET)
    features: dict[int, np.ndarray] = {}
    shapes: set[tuple[int, int]] = set()
    with Progress("what photos show", len(split)) as meter:
        for plan in plans:
            interrupt.check()
            photos = [split[index].image for index in plan.indices]
            batch = _batch(photos, [sizes[index] for index in plan.indices], plan.shape)
            rows = np.asarray(program(net.variables, batch))
            features.update(zip(plan.indices, rows, strict=True))
            meter.advance(plan.real, compiled=plan.shape not in shapes)
            shapes.add(plan.shape)
    return np.stack([features[index] for index in range(len(split))])
