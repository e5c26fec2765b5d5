"""R3GAN: two residual networks without a single normalisation, for a relativistic loss with R1 and R2.

Configuration E of the paper. Both players are stages of residual blocks, from 4x4 pixels up in G and down to 4x4 in D; a
block widens, convolves in groups and narrows again, and nothing else is between the images and the logit.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.resample import downsample, low_pass, upsample
from jaxgan.core.types import PyTree
from jaxgan.nets.convolutions import full_precision, grouped_conv, pointwise
from jaxgan.nets.layers import in_full, leaky_relu, matched, recomputed
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear

FILTER = low_pass((1, 3, 3, 1))


class Linear(nn.Module):
    """`x @ kernel` over the last axis, `[..., I]` to `[..., features]`: of pixels, a 1x1 convolution. No bias."""

    features: int
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", _normal(self.gain, x.shape[-1]), (x.shape[-1], self.features))
        return pointwise(x, matched(kernel, x))


class Block(nn.Module):
    """Residual block `[B, H, W, C]` to the same: `x + narrow(act(grouped(act(widen(x)))))`, act a leaky ReLU after a bias.

    It starts as the identity: the last kernel is zero. The other two have He's variance times `depth ** -1/2`, so that the
    first updates move the network as much whatever the number of blocks.

    References:
        Huang et al. 2024 (R3GAN), section 3; Zhang et al. 2019, Fixup initialization, section 3.
    """

    groups: int
    expansion: int
    depth: int  # residual blocks in the whole network

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features = self.expansion * x.shape[-1]
        gain = math.sqrt(2.0 / (1.0 + 0.2**2)) * self.depth**-0.25  # L^(-1 / (2 m - 2)) of a branch of m = 3 layers

        def activated(h: jax.Array, name: str) -> jax.Array:
            bias = self.param(name, nn.initializers.zeros, (features,))
            h = in_full(jnp.add, h, matched(bias, h).reshape(1, 1, 1, -1))
            return in_full(leaky_relu, h)  # bfloat16's own 0.2 is a thousandth off

        h = activated(Linear(features, gain, name="widen")(x), "bias_1")
        inputs = features // self.groups
        kernel = self.param("grouped", _normal(gain, 9 * inputs), (3, 3, inputs, features))
        h = activated(grouped_conv(h, matched(kernel, h), self.groups), "bias_2")
        return x + Linear(x.shape[-1], 0.0, name="narrow")(h)


class Generator(nn.Module):
    """G: latents `[B, D]` to images `[B, image_size, image_size, channels]`, unbounded: the last layer is linear.

    Conditional when `classes > 0`: a learnt vector for the label is concatenated to z. Learnt 4x4 maps, scaled by a linear
    function of z, enter the first stage; each further one doubles the side.

    References:
        Huang et al. 2024, The GAN is dead; long live the GAN! A modern baseline GAN (R3GAN), section 3, configuration E.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage, from 4x4 up
    groups: tuple[int, ...] = (96, 96, 96, 96)  # of each stage's convolutions
    blocks: int | tuple[int, ...] = 2  # of each stage
    expansion: int = 2  # channels within a block over those between blocks
    channels: int = 3
    classes: int = 0
    embedding: int = 64  # length of the label's vector
    bfloat16_levels: int = 0  # stages of highest resolution computed in bfloat16; the one of 4x4 never is
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @property
    def image_size(self) -> int:
        """Side of the images."""
        return 4 * 2 ** (len(self.widths) - 1)

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # nothing here differs in training
        if self.classes:
            z = jnp.concatenate([z, _embedded(self, labels, self.embedding, gain=1.0)], axis=-1)
        basis = self.param("basis", nn.initializers.normal(1.0), (4, 4, self.widths[0]))
        z = full_precision(z)
        x = Linear(self.widths[0], name="linear")(z)[:, None, None, :] * basis[None]
        full = x.dtype
        for k, width in enumerate(self.widths):
            if k > 0:
                x = _at_precision(x, full, bfloat16=k >= len(self.widths) - self.bfloat16_levels)
                if width != self.widths[k - 1]:
                    x = Linear(width, name=f"change_{k}")(x)
                x = _resampled(upsample, x)
            x = _stage(self, k, x)
        return Linear(self.channels, name="to_image")(x).astype(full)


class Discriminator(nn.Module):
    """D: images `[B, image_size, image_size, channels]` to logits `[B]`, G's stages in the opposite order.

    At 4x4 a learnt map for each channel makes a number of it, and a linear function of those is the logit. Conditional when
    `classes > 0`, by projection: as many linear functions as a label's learnt vector is long, times that vector.

    References:
        Huang et al. 2024 (R3GAN), section 3; Miyato and Koyama 2018, cGANs with projection discriminator, equation 3.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage, from 4x4 up, as G's
    groups: tuple[int, ...] = (96, 96, 96, 96)  # of each stage's convolutions
    blocks: int | tuple[int, ...] = 2  # of each stage
    expansion: int = 2  # channels within a block over those between blocks
    channels: int = 3
    classes: int = 0
    embedding: int | None = None  # length of the label's vector; None: the width at 4x4
    bfloat16_levels: int = 0  # stages of highest resolution computed in bfloat16; the one of 4x4 never is
    remat: bool = False  # keep a block's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @property
    def image_size(self) -> int:
        """Side of the images."""
        return 4 * 2 ** (len(self.widths) - 1)

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # nothing here differs in training
        shape = (self.image_size, self.image_size, self.channels)
        if x.shape[1:] != shape:
            raise ValueError(f"images: {x.shape}, but this discriminator sees (batch, {', '.join(map(str, shape))})")
        full = jnp.promote_types(x.dtype, jnp.float32)
        for k in reversed(range(len(self.widths))):
            x = _at_precision(x, full, bfloat16=k >= len(self.widths) - self.bfloat16_levels)
            if k == len(self.widths) - 1:
                x = Linear(self.widths[k], name="from_image")(x)
            x = _stage(self, k, x)
            if k > 0:
                x = _resampled(downsample, x)
                if self.widths[k - 1] != self.widths[k]:
                    x = Linear(self.widths[k - 1], name=f"change_{k}")(x)
        basis = self.param("basis", _normal(1.0, 16), (4, 4, self.widths[0]))
        features = (x * basis[None]).sum(axis=(1, 2))
        if not self.classes:
            return Linear(1, name="linear")(features)[:, 0]
        length = self.widths[0] if self.embedding is None else self.embedding
        label = _embedded(self, labels, length, gain=1.0 / math.sqrt(length))
        return (Linear(length, name="linear")(features) * label).sum(axis=-1)


def from_torch(tensors: Arrays) -> tuple[Generator | Discriminator, PyTree, PyTree]:
    """G or D with the weights of a PyTorch state dict of R3GAN.

    Args:
        tensors: by PyTorch name, `Model.MainLayers.0.Layers.0.Basis` and so on, in PyTorch's layouts.

    Returns:
        `(module, params, stats)`; the module computes in full precision, `bfloat16_levels = 0`, which no tensor tells.

    Raises:
        ValueError: one line that says what keeps these from being an R3GAN's, or names all that are missing, surplus,
            misshaped, not finite or of another filter.
    """
    module = module_of(tensors)
    inputs = np.shape(tensors.get(_G_LINEAR, np.zeros((1, 64))))[-1]
    latent_dim = inputs - module.embedding if isinstance(module, Generator) and module.classes else inputs
    return module, *adopt(tensors, torch_layout(module, latent_dim=latent_dim))


def module_of(tensors: Arrays) -> Generator | Discriminator:
    """The network that such tensors belong to, by their names and shapes.

    Raises:
        ValueError: when they are not those of an R3GAN.
    """
    shapes = {name: np.shape(x) for name, x in tensors.items()}
    parts = {name: _IN_BLOCK.fullmatch(name) for name in shapes}
    places = {(int(part["stage"]), int(part["block"])) for part in parts.values() if part}
    stages = sorted({stage for stage, _ in places})

    def first(stage: int, layer: str) -> tuple[int, ...]:
        """The shape of a kernel of the first block of a stage that has it."""
        found = (shapes[name] for name, part in parts.items() if part and (int(part["stage"]), part["layer"]) == (stage, layer))
        return next((shape for shape in found if len(shape) == 4 and min(shape) > 0), ())

    widen, grouped = ([first(stage, layer) for stage in stages] for layer in ("LinearLayer1", "LinearLayer2"))
    if not stages or stages != list(range(len(stages))) or not all([*widen, *grouped]):
        told = f"{len(places)} residual blocks in stages {', '.join(map(str, stages)) or 'none'}"
        raise ValueError(f"tensors: {told}, but an R3GAN has blocks in every stage, of three kernels")
    counts = [sum(stage == place[0] for place in places) for stage in stages]
    label = shapes.get("Model.EmbeddingLayer.weight", ())
    length, classes = label if len(label) == 2 else (None, 0)
    # Any one of these may be what is missing.
    generator = bool({"Model.AggregationLayer.Layer.weight", "Model.MainLayers.0.Layers.0.Basis", _G_LINEAR} & shapes.keys())
    images = shapes.get(f"Model.{'Aggregation' if generator else 'Extraction'}Layer.Layer.weight", ())
    order = slice(None) if generator else slice(None, None, -1)  # ours is from 4x4 up
    fields: dict[str, Any] = {
        "widths": tuple(shape[1] for shape in widen)[order],
        "groups": tuple(shape[0] // shape[1] for shape in grouped)[order],
        "blocks": counts[0] if len(set(counts)) == 1 else tuple(counts)[order],
        "expansion": widen[0][0] // widen[0][1],
        "channels": images[0 if generator else 1] if len(images) == 4 else 3,
        "classes": classes,
    }
    if length is not None and (generator or length != fields["widths"][0]):
        fields["embedding"] = length
    return Generator(**fields) if generator else Discriminator(**fields)


def torch_layout(module: Generator | Discriminator, *, latent_dim: int = 64) -> dict[str, Tensor]:
    """Every tensor of the state dict that R3GAN has for this network, by PyTorch's name, and where it goes here."""
    generator, width = isinstance(module, Generator), module.widths[0]
    length = width if module.embedding is None else module.embedding
    layout: dict[str, Tensor] = {}

    def one_by_one(name: str, inputs: int, outputs: int, *path: str) -> None:
        layout[f"{name}.weight"] = Tensor((outputs, inputs, 1, 1), ("params", *path, "kernel"), _pointwise)

    last = len(module.widths) - 1
    for k, (features, groups, blocks) in enumerate(zip(module.widths, module.groups, _blocks(module), strict=True)):
        stage = f"Model.MainLayers.{k if generator else last - k}.Layers"
        for i in range(blocks):
            name, path, wide = f"{stage}.{i + generator}", f"block_{k}_{i}", module.expansion * features
            one_by_one(f"{name}.LinearLayer1.Layer", features, wide, path, "widen")
            kernel = Tensor((wide, wide // groups, 3, 3), ("params", path, "grouped"), convolution)
            layout[f"{name}.LinearLayer2.Layer.weight"] = kernel
            one_by_one(f"{name}.LinearLayer3.Layer", wide, features, path, "narrow")
            for bias in (1, 2):
                layout[f"{name}.NonLinearity{bias}.Bias"] = Tensor((wide,), ("params", path, f"bias_{bias}"))
        end = f"{stage}.{0 if generator else blocks}"
        if k > 0:
            layout[f"{end}.Resampler.Kernel"] = Tensor((4, 4), fixed=np.outer(FILTER, FILTER), optional=True)
            inner = module.widths[k - 1]
            if inner != features:
                inputs, outputs = (inner, features) if generator else (features, inner)
                one_by_one(f"{end}.LinearLayer.Layer", inputs, outputs, f"change_{k}")
            continue
        inputs, outputs = (latent_dim, width) if generator else (width, length if module.classes else 1)
        if generator:
            layout[f"{end}.Basis"] = Tensor((width, 4, 4), ("params", "basis"), _channels_last)
            inputs += length if module.classes else 0
        else:
            layout[f"{end}.Basis.weight"] = Tensor((width, 1, 4, 4), ("params", "basis"), _maps)
        layout[f"{end}.LinearLayer.weight"] = Tensor((outputs, inputs), ("params", "linear", "kernel"), linear)
    if generator:
        one_by_one("Model.AggregationLayer.Layer", module.widths[-1], module.channels, "to_image")
    else:
        one_by_one("Model.ExtractionLayer.Layer", module.channels, module.widths[-1], "from_image")
    if module.classes:
        layout["Model.EmbeddingLayer.weight"] = Tensor((length, module.classes), ("params", "label"), linear)
    return layout


_G_LINEAR = "Model.MainLayers.0.Layers.0.LinearLayer.weight"
_IN_BLOCK = re.compile(
    r"Model\.MainLayers\.(?P<stage>\d+)\.Layers\.(?P<block>\d+)\."
    r"(?P<layer>LinearLayer[123]|NonLinearity[12])\.(Layer\.weight|Bias)"
)


def _pointwise(x: np.ndarray) -> np.ndarray:
    return x[:, :, 0, 0].T


def _channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(1, 2, 0)


def _maps(x: np.ndarray) -> np.ndarray:
    return _channels_last(x[:, 0])


def _normal(gain: float, fan_in: int) -> nn.initializers.Initializer:
    return nn.initializers.normal(gain / math.sqrt(fan_in)) if gain else nn.initializers.zeros


def _at_precision(x: jax.Array, full: Any, *, bfloat16: bool = False) -> jax.Array:
    return x.astype(jnp.bfloat16 if bfloat16 else jnp.promote_types(x.dtype, full))


def _resampled(resample: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    """Rounded once where x is bfloat16, not with every term of the filter's sums."""
    return resample(full_precision(x), FILTER).astype(x.dtype)


def _embedded(module: Generator | Discriminator, labels: jax.Array | None, length: int, *, gain: float) -> jax.Array:
    if labels is None:
        raise ValueError(f"labels: None, but a network of {module.classes} classes needs them")
    return module.param("label", _normal(gain, module.classes), (module.classes, length))[labels]


def _stage(module: Generator | Discriminator, k: int, x: jax.Array) -> jax.Array:
    depth = sum(_blocks(module))
    run = recomputed(module.remat, lambda block, x: block(x))
    for i in range(_blocks(module)[k]):
        x = run(Block(module.groups[k], module.expansion, depth, name=f"block_{k}_{i}"), x)
    return x


def _blocks(module: Generator | Discriminator) -> tuple[int, ...]:
    return (module.blocks,) * len(module.widths) if isinstance(module.blocks, int) else tuple(module.blocks)


def _check(module: Generator | Discriminator) -> None:
    stages = len(module.widths)
    if stages == 0:
        raise ValueError("widths: (), but a network has at least one stage")
    for name, values in (("widths", module.widths), ("groups", module.groups), ("blocks", _blocks(module))):
        if len(values) != stages:
            raise ValueError(f"{name}: {values}, but widths name {stages} stages")
        if min(values) < 1:
            raise ValueError(f"{name}: {values}, but each must be at least 1")
    least = {"expansion": 1, "channels": 1, "classes": 0, "embedding": 1}
    for name, value in zip(least, (module.expansion, module.channels, module.classes, module.embedding), strict=True):
        if value is not None and value < least[name]:
            raise ValueError(f"{name}: {value}, but it must be at least {least[name]}")
    for width, groups in zip(module.widths, module.groups, strict=True):
        if module.expansion * width % groups:
            told = f"{module.expansion} x {width} channels"
            raise ValueError(f"groups: {tuple(module.groups)}, but {groups} does not divide the {told} of its stage")
    if not 0 <= module.bfloat16_levels < stages:
        allowed = f"from 0 to {stages - 1}: not the stage of 4x4"
        raise ValueError(f"bfloat16_levels: {module.bfloat16_levels}, but it must be {allowed}")
