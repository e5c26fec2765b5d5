"""Two small convolutional classifiers and their training."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

from jaxgan.core.types import Dataset, Images, Key, Labels, PyTree
from jaxgan.nets.layers import BatchNorm, Conv, Dense, leaky_relu, variance_scaled
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
_TOLD_EVERY = 10.0  # seconds from one line of the log to the next, at least


class Training(NamedTuple):
    """Data, network and hyperparameters of one classifier; a change of any makes another classifier."""

    data: str  # as `data.load` names it
    shape: tuple[int, int, int]  # of an image, (H, W, C)
    classes: int
    widths: tuple[int, ...]  # channels of each convolution, which halves the image; of a residual network, of its four stages
    features: int  # length of the features; of a residual network equal to widths[-1]
    epochs: int
    batch_size: int = 128
    learning_rate: float = 3e-3  # the peak, after a rise over the first fifth and before a cosine to 0
    weight_decay: float = 1e-2
    smoothing: float = 0.1  # of the labels: share of the probability spread over all classes
    shift: int = 2  # pixels that an image is moved at most, along each axis
    mirror: bool = False  # turn half of the images left to right
    train_split: str = "train"
    test_split: str = "test"
    network: str = "convolutional"  # or residual, see `Residual`
    optimizer: str = "adamw"  # or muon


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


class Residual(nn.Module):
    """Convolutions with batch normalisation, a residual block among them: `[B, H, W, C]` to logits and features.

    The four stages have maps of side H/2, H/2, H/4 and H/8. The first is a convolution of stride 2, the second a convolution of
    stride 1. The third is a convolution and a residual block of two, the fourth is two convolutions. Max pooling halves the map
    after the second and the third stage. After the fourth, global max pooling gives the features `[B, widths[-1]]`. H = W is a
    power of two, at least 8. After training the normalisations are folded into the kernels and biases, see `folded`.

    References:
        He et al. 2016, Deep residual learning for image recognition; Ioffe and Szegedy 2015, Batch normalization.
    """

    widths: tuple[int, ...]  # of the four stages
    classes: int
    normed: bool = False  # as in training: batch normalisation and no biases

    @nn.compact
    def __call__(self, x: Images, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        def layer(x: jax.Array, name: str, width: int, size: int = 3, stride: int = 1) -> jax.Array:
            x = Conv(width, size, stride, 1, use_bias=not self.normed, name=name)(x)
            return nn.silu(BatchNorm(name=f"{name}_norm")(x, train=train) if self.normed else x)

        first, second, third, last = self.widths
        x = layer(x, "first", first, 4, stride=2)
        x = _halved(layer(x, "second", second))
        x = layer(x, "third", third)
        x = _halved(x + layer(layer(x, "pair_0", third), "pair_1", third))
        x = layer(layer(x, "fourth", last), "fifth", last)
        while x.shape[1] > 1:
            x = _halved(x)
        features = x[:, 0, 0]
        return Dense(self.classes, kernel_init=variance_scaled(1.0), name="logits")(features), features


def _halved(x: jax.Array) -> jax.Array:
    """Max pooling over 2x2 pixels, `[B, H, W, C]` to `[B, H / 2, W / 2, C]`.

    It compares pairs, since the gradient of `max` divides by the number of elements that equal the largest: where a compiler
    computes a value twice with different rounding, that number can be 0 and the gradient NaN.
    """
    batch, height, width, channels = x.shape
    rows = x.reshape(batch, height // 2, 2, width, channels)
    x = _larger(rows[:, :, 0], rows[:, :, 1])
    columns = x.reshape(batch, height // 2, width // 2, 2, channels)
    return _larger(columns[:, :, :, 0], columns[:, :, :, 1])


def _larger(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(x > y, x, y)


def folded(params: PyTree, stats: PyTree) -> PyTree:
    """The parameters of a `Residual` network with its batch normalisations folded into kernels and biases.

    `kernel' = a kernel`, `bias' = bias - a mean`, where `a = scale / sqrt(var + epsilon)`.

    Args:
        params: of the network with `normed`.
        stats: running means and variances of its batch normalisations.

    Returns:
        The parameters of the same network with `normed=False`.
    """
    kept = {name: value for name, value in params.items() if not name.endswith("_norm")}
    for name, running in stats.items():
        layer, norm = name.removesuffix("_norm"), params[name]
        scale = norm["scale"] / jnp.sqrt(running["var"] + BatchNorm.epsilon)
        kept[layer] = {
            "kernel": kept[layer]["kernel"] * scale.reshape(1, 1, 1, -1),
            "bias": norm["bias"] - running["mean"] * scale,
        }
    return kept


def network(training: Training, *, normed: bool = False) -> nn.Module:
    """The network of a training, without parameters; `normed` keeps batch normalisation, which only a residual network has."""
    if training.network == "residual":
        return Residual(training.widths, training.classes, normed)
    return Convolutional(training.widths, training.features, training.classes)


def initial(training: Training, key: Key) -> PyTree:
    """The parameters of a network that is not trained, plain nested dicts."""
    return network(training).init(key, jnp.zeros((1, *training.shape)))["params"]


def train(training: Training, dataset: Dataset, *, name: str, seed: int) -> PyTree:
    """Trains a classifier: AdamW or Muon on the cross-entropy with smoothed labels, images moved at random.

    Pixels are those a GAN sees, [-1, 1]. Everything random is a function of the seed and the step, so that on a CPU the
    same machine and versions give the same bits; an accelerator's convolutions may add in another order.

    Args:
        training: what and how.
        dataset: of the training split.
        name: for the log, a line for each epoch that ends 10 seconds or more after the line before.
        seed: of the parameters, the order and the shifts.

    Returns:
        The parameters.

    Raises:
        ValueError: when the data have other shapes or classes than the network, or too few images for one batch.

    References:
        Loshchilov and Hutter 2019, Decoupled weight decay regularization; Jordan et al. 2024, Muon: an optimizer for hidden
        layers in neural networks.
    """
    if dataset.shape != training.shape or len(dataset.class_names) != training.classes:
        raise FieldError(
            name,
            f"{dataset.name} has images {dataset.shape} of {len(dataset.class_names)} classes",
            f"the network takes images {training.shape} of {training.classes} classes",
        )
    draw = dataset.batches(seed, training.batch_size)
    epoch = (dataset.size or 0) // training.batch_size  # steps
    optimizer = _optimizer(training, epoch * training.epochs)
    start_key, shift_key = jax.random.split(jax.random.key(seed))
    module = network(training, normed=True)
    variables = module.init(start_key, jnp.zeros((1, *training.shape)))
    params, stats = variables["params"], variables.get("batch_stats", {})
    opt = optimizer.init(params)
    step = jax.jit(_step(training, module, optimizer), donate_argnums=(0, 1, 2))

    started, losses = time.monotonic(), []
    told = started
    for number in range(epoch * training.epochs):
        batch = draw(number)
        key = jax.random.fold_in(shift_key, number)
        params, stats, opt, loss = step(params, stats, opt, key, batch["image"][0], batch["label"][0])
        losses.append(loss)
        if len(losses) == epoch:
            loss, losses = np.mean(losses), []
            now, done = time.monotonic(), f"{(number + 1) // epoch} of {training.epochs}"
            level = logging.INFO if now - told >= _TOLD_EVERY else logging.DEBUG
            _log.log(level, "classifier %s: epoch %s, loss %.3f, %.0f s", name, done, loss, now - started)
            told = now if level == logging.INFO else told
    return folded(params, stats) if stats else params


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
    if training.optimizer == "adamw":
        return optax.adamw(rate, weight_decay=training.weight_decay)

    def of_matrices(params: PyTree) -> PyTree:  # kernels of convolutions; the rest is Adam's, whose usual rate is a tenth
        matrix = contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
        return jax.tree.map(lambda leaf: matrix if leaf.ndim == 4 else None, params)

    return contrib.muon(
        rate,
        weight_decay=training.weight_decay,
        adam_learning_rate=lambda count: 0.1 * rate(count),
        muon_weight_dimension_numbers=of_matrices,
    )


def _step(training: Training, module: nn.Module, optimizer: optax.GradientTransformation) -> Callable:
    def mean_loss(params: PyTree, stats: PyTree, images: Images, labels: Labels) -> tuple[jax.Array, PyTree]:
        if stats:
            (logits, _), moved = module.apply(
                {"params": params, "batch_stats": stats}, images, train=True, mutable=["batch_stats"]
            )
            stats = moved["batch_stats"]
        else:
            logits, _ = module.apply({"params": params}, images)
        targets = optax.smooth_labels(jax.nn.one_hot(labels, training.classes), training.smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean(), stats

    def step(
        params: PyTree, stats: PyTree, opt: PyTree, key: Key, images: Images, labels: Labels
    ) -> tuple[PyTree, PyTree, PyTree, jax.Array]:
        if training.mirror:
            turned = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(len(images), 1, 1, 1))
            images = jnp.where(turned, images[:, :, ::-1], images)
        differentiated = jax.value_and_grad(mean_loss, has_aux=True)
        (loss, stats), gradient = differentiated(params, stats, shifted(key, images, training.shift), labels)
        updates, opt = optimizer.update(gradient, opt, params)
        return optax.apply_updates(params, updates), stats, opt, loss

    return step
