"""A small convolutional classifier and its training."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan.core.types import Dataset, Images, Key, Labels, PyTree
from jaxgan.nets.layers import Conv, Dense, leaky_relu, variance_scaled
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")


class Training(NamedTuple):
    """Data, network and hyperparameters of one classifier; a change of any makes another classifier."""

    data: str  # as `data.load` names it
    shape: tuple[int, int, int]  # of an image, (H, W, C)
    classes: int
    widths: tuple[int, ...]  # channels of each convolution; each halves the image
    features: int  # of the hidden layer that serves as features
    epochs: int
    batch_size: int = 128
    learning_rate: float = 3e-3  # AdamW's peak, after a rise over the first fifth and before a cosine to 0
    weight_decay: float = 1e-2
    smoothing: float = 0.1  # of the labels: share of the probability spread over all classes
    shift: int = 2  # pixels that an image is moved at most, along each axis
    mirror: bool = False  # turn half of the images left to right
    train_split: str = "train"
    test_split: str = "test"


class Convolutional(nn.Module):
    """Convolutions of stride 2, one hidden layer, one linear layer: `[B, H, W, C]` to logits and features."""

    widths: tuple[int, ...]
    features: int
    classes: int

    @nn.compact
    def __call__(self, x: Images) -> tuple[jax.Array, jax.Array]:
        for number, width in enumerate(self.widths):
            # 4x4 with stride 2: on a CPU the form that is fast in the weights' gradient too.
            x = leaky_relu(Conv(width, 4, stride=2, padding=1, name=f"conv{number}")(x))
        features = leaky_relu(Dense(self.features, name="hidden")(x.reshape(len(x), -1)))
        return Dense(self.classes, kernel_init=variance_scaled(1.0), name="logits")(features), features


def network(training: Training) -> Convolutional:
    """The network of a training, without parameters."""
    return Convolutional(training.widths, training.features, training.classes)


def initial(training: Training, key: Key) -> PyTree:
    """The parameters that training starts from, plain nested dicts."""
    return network(training).init(key, jnp.zeros((1, *training.shape)))["params"]


def train(training: Training, dataset: Dataset, *, name: str, seed: int) -> PyTree:
    """Trains a classifier: AdamW on the cross-entropy with smoothed labels, images moved at random.

    Pixels are those a GAN sees, [-1, 1]. Everything random is a function of the seed and the step, so that on a CPU the
    same machine and versions give the same bits; an accelerator's convolutions may add in another order.

    Args:
        training: what and how.
        dataset: of the training split.
        name: for the log, one line an epoch.
        seed: of the parameters, the order and the shifts.

    Returns:
        The parameters.

    Raises:
        ValueError: when the data have other shapes or classes than the network, or too few images for one batch.
    """
    if dataset.shape != training.shape or len(dataset.class_names) != training.classes:
        raise FieldError(
            name,
            f"{dataset.name} has images {dataset.shape} of {len(dataset.class_names)} classes",
            f"the network takes {training.shape} and tells {training.classes}",
        )
    draw = dataset.batches(seed, training.batch_size)
    epoch = (dataset.size or 0) // training.batch_size  # steps
    optimizer = _optimizer(training, epoch * training.epochs)
    start_key, shift_key = jax.random.split(jax.random.key(seed))
    params = initial(training, start_key)
    opt = optimizer.init(params)
    step = jax.jit(_step(training, optimizer), donate_argnums=(0, 1))

    started, losses = time.monotonic(), []
    for number in range(epoch * training.epochs):
        batch = draw(number)
        key = jax.random.fold_in(shift_key, number)
        params, opt, loss = step(params, opt, key, batch["image"][0], batch["label"][0])
        losses.append(loss)
        if len(losses) == epoch:
            loss, losses = np.mean(losses), []
            seconds = time.monotonic() - started
            done = (number + 1) // epoch
            _log.info("classifier %s: epoch %d of %d, loss %.3f, %.0f s", name, done, training.epochs, loss, seconds)
    return params


def shifted(key: Key, images: Images, shift: int) -> Images:
    """Each image moved by up to `shift` pixels along each axis, at random; black, -1, comes in at the edges."""
    height, width, channels = images.shape[1:]
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * shift + 1)
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), constant_values=-1.0)

    def window(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return jax.vmap(window)(padded, corners)


def _optimizer(training: Training, steps: int) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(0.0, training.learning_rate, max(steps // 5, 1), max(steps, 2))
    return optax.adamw(rate, weight_decay=training.weight_decay)


def _step(training: Training, optimizer: optax.GradientTransformation) -> Callable:
    module = network(training)

    def mean_loss(params: PyTree, images: Images, labels: Labels) -> jax.Array:
        logits, _ = module.apply({"params": params}, images)
        targets = optax.smooth_labels(jax.nn.one_hot(labels, training.classes), training.smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()

    def step(params: PyTree, opt: PyTree, key: Key, images: Images, labels: Labels) -> tuple[PyTree, PyTree, jax.Array]:
        if training.mirror:
            turned = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(len(images), 1, 1, 1))
            images = jnp.where(turned, images[:, :, ::-1], images)
        loss, gradient = jax.value_and_grad(mean_loss)(params, shifted(key, images, training.shift), labels)
        updates, opt = optimizer.update(gradient, opt, params)
        return optax.apply_updates(params, updates), opt, loss

    return step
