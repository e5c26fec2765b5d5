"""SNGAN at 32 pixels: residual networks, D's layers divided by their spectral norms; conditional or not.

In mimicry's form, layer by layer: bilinear upsampling in G, sum pooling in D, and a ReLU before D's blocks that their
shortcuts pass through as well. `from_torch` takes the weights of its networks of any width.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.nets.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv,
    Dense,
    downsample_mean,
    full_precision,
    recomputed,
    upsample_bilinear,
)
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear

G_BLOCKS = 3  # each doubles the side, 4 to 32
D_HALVES = (True, True, False, False)  # which of D's blocks halve the side, 32 to 8


def xavier(gain: float) -> nn.initializers.Initializer:
    """Uniform weights of variance `2 gain^2 / (fan_in + fan_out)` (Glorot and Bengio 2010, equation 16)."""
    return nn.initializers.variance_scaling(gain**2, "fan_avg", "uniform")


class Generator(nn.Module):
    """G: latents `[B, D]` to images `[B, 32, 32, channels]` in (-1, 1).

    Conditional when `classes > 0`: the blocks' batch normalisations have a scale and a bias for each class.

    References:
        Miyato et al. 2018, Spectral normalization for generative adversarial networks, table 4 and figure 9;
        Miyato and Koyama 2018, cGANs with projection discriminator, section 5.
    """

    image_size: int = 32
    channels: int = 3
    width: int = 256  # channels of all hidden layers
    classes: int = 0
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        labels = _labels(self, labels)
        x = Dense(16 * self.width, kernel_init=xavier(1.0), name="start")(z)
        x = x.reshape(-1, 4, 4, self.width)
        run = recomputed(self.remat, lambda block, x: block(x, labels, train=train))
        for i in range(G_BLOCKS):
            x = run(GeneratorBlock(self.width, self.classes, name=f"block_{i}"), x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train))
        x = Conv(self.channels, 3, padding=1, kernel_init=xavier(1.0), name="image")(x)
        return jnp.tanh(full_precision(x))


class GeneratorBlock(nn.Module):
    """Residual block that doubles the side: `[B, H, W, C]` to `[B, 2 H, 2 W, features]`."""

    features: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, *, train: bool) -> jax.Array:
        def activated(x: jax.Array, name: str) -> jax.Array:
            if labels is None:
                return nn.relu(BatchNorm(name=name)(x, train=train))
            return nn.relu(ConditionalBatchNorm(self.classes, name=name)(x, labels, train=train))

        hidden = xavier(math.sqrt(2.0))
        h = upsample_bilinear(activated(x, "norm_0"))
        h = Conv(self.features, 3, padding=1, kernel_init=hidden, name="conv_0")(h)
        h = Conv(self.features, 3, padding=1, kernel_init=hidden, name="conv_1")(activated(h, "norm_1"))
        # A convolution of size 1 and an average of pixels commute; this order is a quarter of the work.
        shortcut = Conv(self.features, 1, kernel_init=xavier(1.0), name="shortcut")(x)
        return h + upsample_bilinear(shortcut)


class Discriminator(nn.Module):
    """D: images `[B, 32, 32, channels]` to logits `[B]`.

    Conditional when `classes > 0`, by projection: with the last features phi(x), summed over all places, and a learnt
    vector v_y for the label, `logit = w . phi(x) + b + v_y . phi(x)`; spectral normalisation is of the matrix of all v_y.

    References:
        Miyato et al. 2018, Spectral normalization for generative adversarial networks, table 4 and figure 9;
        Miyato and Koyama 2018, cGANs with projection discriminator, equation 4.
    """

    image_size: int = 32
    channels: int = 3
    width: int = 128  # channels of all hidden layers
    classes: int = 0
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        labels = _labels(self, labels)
        run = recomputed(self.remat, lambda block, x: block(x, train=train))
        for i, halve in enumerate(D_HALVES):
            x = run(DiscriminatorBlock(self.width, halve, first=i == 0, name=f"block_{i}"), x)
        x = nn.relu(full_precision(x)).sum((1, 2))
        common: dict[str, Any] = {"spectral": True, "kernel_init": xavier(1.0)}
        logits = Dense(1, name="logit", **common)(x, train=train)[:, 0]
        if labels is None:
            return logits
        of_class = Dense(self.classes, use_bias=False, name="label", **common)(x, train=train)
        return logits + (of_class * jax.nn.one_hot(labels, self.classes, dtype=x.dtype)).sum(axis=-1)


class DiscriminatorBlock(nn.Module):
    """Residual block: `[B, H, W, C]` to `[B, H, W, features]`, or to half the side; the shortcut of one that keeps it is x."""

    features: int
    halve: bool
    first: bool  # sees the images, so without a ReLU before it

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        hidden: dict[str, Any] = {"padding": 1, "spectral": True, "kernel_init": xavier(math.sqrt(2.0))}
        # In mimicry this ReLU is in place and so acts on the shortcut too; in the paper's own code it does not.
        x = x if self.first else nn.relu(x)
        h = Conv(self.features, 3, name="conv_0", **hidden)(x, train=train)
        h = Conv(self.features, 3, name="conv_1", **hidden)(nn.relu(h), train=train)
        if not self.halve:
            return x + h
        # Pooling and a convolution of size 1 commute: for all blocks in the cheaper order.
        shortcut = Conv(self.features, 1, spectral=True, kernel_init=xavier(1.0), name="shortcut")
        return shortcut(downsample_mean(x), train=train) + downsample_mean(h)


def from_torch(tensors: Arrays) -> tuple[Generator | Discriminator, PyTree, PyTree]:
    """A module, its parameters and its statistics from the state dict of one of mimicry's networks, of G or of D.

    Args:
        tensors: by PyTorch name, `block2.c1.weight` and so on, in PyTorch's layouts.

    Returns:
        `(module, params, stats)`.

    Raises:
        ValueError: one line that names every tensor that is missing, surplus, misshaped or not finite.
    """
    module = module_of(tensors)
    weight = np.shape(tensors.get("l1.weight", ()))
    return module, *adopt(tensors, torch_layout(module, weight[1] if len(weight) == 2 else 128))


def module_of(tensors: Arrays) -> Generator | Discriminator:
    """The network to which these tensors belong, its fields read from most of their shapes.

    Raises:
        ValueError: when they are of no SNGAN.
    """

    def most(values: Iterable[tuple[int, ...]], axis: int, default: int) -> int:
        found = Counter(shape[axis] for shape in values if len(shape) > axis)
        return found.most_common(1)[0][0] if found else default

    def shapes(*endings: str) -> list[tuple[int, ...]]:
        return [np.shape(x) for name, x in tensors.items() if name.endswith(endings)]

    width = most((shape for shape in shapes("c1.bias", "c2.bias", "c_sc.bias")), 0, 1)
    if shapes("weight_orig"):
        channels = most(shapes("block1.c1.weight_orig", "block1.c_sc.weight_orig"), 1, 3)
        return Discriminator(channels=channels, width=width, classes=most(shapes("l_y.weight_orig", "l_y.weight_u"), 0, 0))
    if shapes("l1.weight", "l1.bias"):
        channels = most(shapes("c5.weight", "c5.bias"), 0, 3)
        return Generator(channels=channels, width=width, classes=most(shapes("embed.weight"), 0, 0))
    raise ValueError("tensors: none of an SNGAN, but its generator has l1.weight and its discriminator l5.weight_orig")


def torch_layout(module: Generator | Discriminator, latent_dim: int = 128) -> dict[str, Tensor]:
    """Where each tensor of mimicry's state dict goes, by its name there.

    Args:
        module: G or D.
        latent_dim: length of z, for G.
    """
    width, layout = module.width, dict[str, Tensor]()
    if isinstance(module, Discriminator):
        for i, halve in enumerate(D_HALVES):
            torch, path, inputs = f"block{i + 1}", f"block_{i}", width if i else module.channels
            layout |= _layer(f"{torch}.c1", (path, "conv_0"), (width, inputs, 3, 3), spectral=True)
            layout |= _layer(f"{torch}.c2", (path, "conv_1"), (width, width, 3, 3), spectral=True)
            if halve:
                layout |= _layer(f"{torch}.c_sc", (path, "shortcut"), (width, inputs, 1, 1), spectral=True)
        layout |= _layer("l5", ("logit",), (1, width), spectral=True)
        if module.classes:
            layout |= _layer("l_y", ("label",), (module.classes, width), spectral=True)
            del layout["l_y.bias"]
        return layout

    def places_last(x: np.ndarray) -> np.ndarray:
        """PyTorch's 16 width outputs are a map (width, 4, 4), ours `[4, 4, width]`."""
        return np.moveaxis(x.reshape(width, 16, *x.shape[1:]), 0, 1).reshape(x.shape)

    layout["l1.weight"] = Tensor((16 * width, latent_dim), ("params", "start", "kernel"), lambda x: linear(places_last(x)))
    layout["l1.bias"] = Tensor((16 * width,), ("params", "start", "bias"), places_last)
    for i in range(G_BLOCKS):
        torch, path = f"block{i + 2}", f"block_{i}"
        for j in (0, 1):
            layout |= _layer(f"{torch}.c{j + 1}", (path, f"conv_{j}"), (width, width, 3, 3))
            layout |= _norm(f"{torch}.b{j + 1}", (path, f"norm_{j}"), width, module.classes)
        layout |= _layer(f"{torch}.c_sc", (path, "shortcut"), (width, width, 1, 1))
    layout |= _norm("b5", ("norm",), width, 0)
    layout |= _layer("c5", ("image",), (module.channels, width, 3, 3))
    return layout


def _layer(torch: str, path: tuple[str, ...], shape: tuple[int, ...], *, spectral: bool = False) -> dict[str, Tensor]:
    kernel: Callable[[np.ndarray], np.ndarray] = convolution if len(shape) == 4 else linear
    layout = {
        f"{torch}.weight_orig" if spectral else f"{torch}.weight": Tensor(shape, ("params", *path, "kernel"), kernel),
        f"{torch}.bias": Tensor(shape[:1], ("params", *path, "bias")),
    }
    if spectral:
        kept = ("spectral", *path, "spectral_norm")
        layout[f"{torch}.weight_u"] = Tensor(shape[:1], (*kept, "u"))
        # v is a kernel with one output: its inputs and taps lie in the order of the kernel's.
        size = (math.prod(shape[1:]),)
        layout[f"{torch}.weight_v"] = Tensor(size, (*kept, "v"), lambda v: kernel(v.reshape(1, *shape[1:])).ravel())
    return layout


def _norm(torch: str, path: tuple[str, ...], width: int, classes: int) -> dict[str, Tensor]:
    kept = ("batch_stats", *path, "norm") if classes else ("batch_stats", *path)
    running = f"{torch}.bn" if classes else torch
    layout = {
        f"{running}.running_mean": Tensor((width,), (*kept, "mean")),
        f"{running}.running_var": Tensor((width,), (*kept, "var")),
        f"{running}.num_batches_tracked": Tensor((), optional=True),
    }
    if classes:
        return layout | {f"{torch}.embed.weight": Tensor((classes, 2 * width), ("params", *path, "embedding"))}
    names = {"weight": "scale", "bias": "bias"}
    return layout | {f"{torch}.{theirs}": Tensor((width,), ("params", *path, ours)) for theirs, ours in names.items()}


def _labels(module: Generator | Discriminator, labels: jax.Array | None) -> jax.Array | None:
    """The labels where the network is conditional; without classes they are dropped."""
    if module.classes and labels is None:
        raise ValueError(f"labels: None, but this network has {module.classes} classes and needs a label for each sample")
    return labels if module.classes else None


def _check(module: Generator | Discriminator) -> None:
    if module.image_size != 32:
        raise ValueError(f"image_size: {module.image_size}, but this network is for 32 only")
    most = 4 if isinstance(module, Generator) else 256  # a packed D sees several images as one
    if not 1 <= module.channels <= most:
        raise ValueError(f"channels: {module.channels}, but it must be from 1 to {most}")
    if module.width < 1:
        raise ValueError(f"width: {module.width}, but it must be at least 1")
    if module.classes < 0:
        raise ValueError(f"classes: {module.classes}, but it must be 0 (unconditional) or more")
