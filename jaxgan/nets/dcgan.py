"""DCGAN: a generator of transposed convolutions and the discriminator that mirrors it.

At 64 pixels this is the network of the paper in the form of PyTorch's examples, layer by layer; `weights.names.dcgan` reads
its weights. Smaller images have fewer stages. At 8 pixels one stage is left, too shallow a network to learn from, so there
each player has two dense layers besides, on the far side of its 4x4 map; more convolutions did worse and cost more. `dense`
and `blocks` make any size deeper: at 28 pixels the paper's network is three layers in all.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nets.checks import check_counts, check_flags, check_word, is_whole
from jaxgan.nets.layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Initializer,
    full_precision,
    leaky_relu,
    matched,
    recomputed,
    variance_scaled,
)
from jaxgan.nets.resnet import Block
from jaxgan.system.messages import FieldError, shown


class Plan(NamedTuple):
    """The shape of both networks for one image size."""

    start: int  # side of G's first and D's last feature map
    stages: int  # each doubles the side
    dense: int  # dense layers of 8 width units before (G) or after (D) that map


PLANS = {8: Plan(4, 1, 2), 28: Plan(7, 2, 0), 32: Plan(4, 3, 0), 64: Plan(4, 4, 0), 128: Plan(4, 5, 0)}


class Generator(nn.Module):
    """G: latents `[B, D]` to images `[B, image_size, image_size, channels]` in (-1, 1).

    Conditional when `classes > 0`: a learnt vector of length D for the label is concatenated to z.

    References:
        Radford et al. 2016, Unsupervised representation learning with deep convolutional GANs, section 3, figure 1;
        Mirza and Osindero 2014, Conditional generative adversarial nets, equation 2.
    """

    image_size: int = 64  # 8, 28, 32, 64 or 128
    channels: int = 3
    width: int = 64  # channels of the last hidden layer; doubled with each halving of the side
    classes: int = 0
    norm: str = "batch"  # or none
    remat: bool = False  # keep a stage's input only, and compute the rest again for the gradients
    blocks: int = 0  # residual blocks after each convolution but the last
    dense: int | None = None  # dense layers of 8 width units before the first map; None: 2 at 8 pixels, else none

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_word(self, "norm", ("batch", "none"), notes={"spectral": " (spectral normalisation is for the discriminator)"})

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        plan, use_bias = PLANS[self.image_size], self.norm == "none"

        def activated(x: jax.Array, name: str) -> jax.Array:
            if self.norm == "batch":
                x = BatchNorm(scale_init=_around_one, name=name)(x, train=train)
            return nn.relu(x)

        def stage(_: nn.Module, x: jax.Array, *, i: int) -> jax.Array:
            last = i == plan.stages
            features = self.channels if last else self.width * 2 ** (plan.stages - 1 - i)
            size, stride, padding = (plan.start, 1, 0) if i == 0 else (4, 2, 1)
            # The first layer sees one pixel: each of its outputs meets a single tap of the kernel.
            init = _init(self.norm, gain=1.0 if last else 2.0, overlap=size**2 if i == 0 else stride**2)
            x = ConvTranspose(features, size, stride, padding, use_bias, kernel_init=init, name=f"up_{i}")(x)
            return x if last else _blocks(activated(x, f"norm_{i}"), self.blocks, i, self.blocks * plan.stages)

        x = z
        if self.classes:
            embed = nn.Embed(self.classes, z.shape[-1], embedding_init=nn.initializers.normal(1.0), name="label")
            x = jnp.concatenate([x, matched(embed(labels), x)], axis=-1)
        for i in range(plan.dense if self.dense is None else self.dense):
            x = Dense(8 * self.width, use_bias, kernel_init=_init(self.norm, gain=2.0), name=f"dense_{i}")(x)
            x = activated(x, f"dense_norm_{i}")
        x = x[:, None, None, :]
        for i in range(plan.stages + 1):
            x = recomputed(self.remat, functools.partial(stage, i=i))(self, x)
        return jnp.tanh(full_precision(x))


class Discriminator(nn.Module):
    """D: images `[B, image_size, image_size, channels]` to logits `[B]`.

    Conditional when `classes > 0`, by projection: with the last features phi(x), `[F]`, and a learnt vector v_y for the
    label, `logit = w . phi(x) + v_y . phi(x)`. As w here reads the features where they are, so does v_y: no pooling.

    References:
        Radford et al. 2016, section 3; Miyato and Koyama 2018, cGANs with projection discriminator, equation 4;
        Miyato et al. 2018, Spectral normalization for generative adversarial networks.
    """

    image_size: int = 64  # 8, 28, 32, 64 or 128
    channels: int = 3
    width: int = 64  # channels of the first layer; doubled with each halving of the side
    classes: int = 0
    norm: str = "batch"  # or none, spectral
    remat: bool = False  # keep a stage's input only, and compute the rest again for the gradients
    blocks: int = 0  # residual blocks after each convolution
    dense: int | None = None  # dense layers of 8 width units after the last map; None: 2 at 8 pixels, else none

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_word(self, "norm", ("batch", "none", "spectral"))
        if self.norm == "spectral" and self.blocks:  # unnormalised, they would undo the bound on D's slope
            raise FieldError("blocks", self.blocks, "it must be 0 with norm spectral: residual blocks are not normalised")

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        plan = PLANS[self.image_size]
        common: dict[str, Any] = {"use_bias": self.norm != "batch", "spectral": self.norm == "spectral"}
        hidden, last = _init(self.norm, gain=2.0), _init(self.norm, gain=1.0)

        def activated(x: jax.Array, name: str) -> jax.Array:
            if self.norm == "batch":
                x = BatchNorm(scale_init=_around_one, name=name)(x, train=train)
            return leaky_relu(x)

        def stage(_: nn.Module, x: jax.Array, *, i: int) -> jax.Array:
            x = Conv(self.width * 2**i, 4, 2, 1, kernel_init=hidden, name=f"down_{i}", **common)(x, train=train)
            x = activated(x, f"norm_{i}") if i > 0 else leaky_relu(x)  # no normalisation of what sees the images
            return _blocks(x, self.blocks, i, self.blocks * plan.stages)

        for i in range(plan.stages):
            x = recomputed(self.remat, functools.partial(stage, i=i))(self, x)
        x = x.reshape(x.shape[0], -1)
        for i in range(plan.dense if self.dense is None else self.dense):
            x = Dense(8 * self.width, kernel_init=hidden, name=f"dense_{i}", **common)(x, train=train)
            x = activated(x, f"dense_norm_{i}")
        x = full_precision(x)
        self.sow("intermediates", "features", x)
        # A convolution as large as the map, to one position, is a matrix product.
        logits = Dense(1, kernel_init=last, name="logit", **common)(x, train=train)[:, 0]
        if self.classes:
            common["use_bias"] = False
            of_class = Dense(self.classes, kernel_init=last, name="label", **common)(x, train=train)
            logits += (of_class * jax.nn.one_hot(labels, self.classes, dtype=x.dtype)).sum(axis=-1)
        return logits


def _blocks(x: jax.Array, count: int, stage: int, depth: int) -> jax.Array:
    for i in range(count):
        x = Block(1, depth, "none", name=f"block_{stage}_{i}")(x)
    return x


def _around_one(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


def _init(norm: str, *, gain: float, overlap: float = 1.0) -> Initializer:
    # DCGAN's small weights rely on batch normalisation to restore the scale; without it the signal would die out.
    return nn.initializers.normal(0.02) if norm == "batch" else variance_scaled(gain, overlap)


def _check(module: Generator | Discriminator) -> None:
    if not is_whole(module.image_size) or module.image_size not in PLANS:
        raise FieldError("image_size", shown(module.image_size), f"dcgan makes images of side {', '.join(map(str, PLANS))}")
    most = 4 if isinstance(module, Generator) else 256  # a packed D sees several images as one
    bounds: dict[str, int | tuple[int, int]] = {
        "image_size": 1, "channels": (1, most), "width": 1, "blocks": 0, "dense": 0, "classes": 0
    }  # fmt: skip
    check_counts(module, bounds, optional={"dense": "2 at 8 pixels, else 0"})
    check_flags(module)
