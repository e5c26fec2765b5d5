"""Inception-v3 of 2015-12-05, the network whose features FID, KID, the Inception score and precision and recall are of.

Only for inference: each batch normalisation is folded into its convolution. It is not torchvision's Inception-v3: averages
leave the padding out, the last block takes a maximum where others take an average, and there are 1008 classes. Parameters
have the names that PyTorch's ports of the network give them.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.core.types import PyTree
from jaxgan.evaluation.features.inception_layers import Logits, Unit, max_pool
from jaxgan.system.messages import FieldError
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear

SIDE = 299  # pixels
CLASSES = 1008
EPSILON = 1e-3  # of the batch normalisations
BATCH = 8  # images at a time that suit a CPU; an accelerator takes more


class Inception(nn.Module):
    """Images `[B, 299, 299, 3]` as `features.resize` gives them to features and logits by name; see `apply`.

    References:
        Szegedy et al. 2016, Rethinking the Inception architecture for computer vision, table 1 and figures 5 to 7.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        means = {}
        x = Unit(32, (3, 3), stride=2, name="Conv2d_1a_3x3")(x)
        x = Unit(32, (3, 3), name="Conv2d_2a_3x3")(x)
        x = Unit(64, (3, 3), padding=(1, 1), name="Conv2d_2b_3x3")(x)
        x = max_pool(x, stride=2)
        means["64"] = x.mean((1, 2))
        x = Unit(80, name="Conv2d_3b_1x1")(x)
        x = Unit(192, (3, 3), name="Conv2d_4a_3x3")(x)
        x = max_pool(x, stride=2)
        means["192"] = x.mean((1, 2))
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = BlockA(pooled, name=name)(x)
        x = BlockB(name="Mixed_6a")(x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = BlockC(width, name=name)(x)
        means["768"] = x.mean((1, 2))
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(largest=False, name="Mixed_7b")(x)
        x = BlockE(largest=True, name="Mixed_7c")(x)
        means["2048"] = x.mean((1, 2))
        unbiased, logits = Logits(CLASSES, name="fc")(means["2048"])
        return {**means, "logits_unbiased": unbiased, "logits": logits}


class BlockA(nn.Module):
    """35 pixels, one convolution of size 5 or two of size 3: `[B, 35, 35, I]` to `[B, 35, 35, 224 + pooled]`."""

    pooled: int  # channels of the branch with the average

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = Unit(64, name="branch1x1")(x)
        five = Unit(48, name="branch5x5_1")(x)
        five = Unit(64, (5, 5), padding=(2, 2), name="branch5x5_2")(five)
        three = Unit(64, name="branch3x3dbl_1")(x)
        three = Unit(96, (3, 3), padding=(1, 1), name="branch3x3dbl_2")(three)
        three = Unit(96, (3, 3), padding=(1, 1), name="branch3x3dbl_3")(three)
        pooled = Unit(self.pooled, average=True, name="branch_pool")(x)
        return jnp.concatenate([one, five, three, pooled], axis=-1)


class BlockB(nn.Module):
    """Reduces 35 to 17 pixels: `[B, 35, 35, 288]` to `[B, 17, 17, 768]`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        three = Unit(384, (3, 3), stride=2, name="branch3x3")(x)
        double = Unit(64, name="branch3x3dbl_1")(x)
        double = Unit(96, (3, 3), padding=(1, 1), name="branch3x3dbl_2")(double)
        double = Unit(96, (3, 3), stride=2, name="branch3x3dbl_3")(double)
        return jnp.concatenate([three, double, max_pool(x, stride=2)], axis=-1)


class BlockC(nn.Module):
    """17 pixels, rows and columns of 7 apart: `[B, 17, 17, 768]` to the same shape."""

    width: int  # channels inside the branches

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = Unit(192, name="branch1x1")(x)
        seven = Unit(self.width, name="branch7x7_1")(x)
        seven = Unit(self.width, (1, 7), padding=(0, 3), name="branch7x7_2")(seven)
        seven = Unit(192, (7, 1), padding=(3, 0), name="branch7x7_3")(seven)
        double = Unit(self.width, name="branch7x7dbl_1")(x)
        double = Unit(self.width, (7, 1), padding=(3, 0), name="branch7x7dbl_2")(double)
        double = Unit(self.width, (1, 7), padding=(0, 3), name="branch7x7dbl_3")(double)
        double = Unit(self.width, (7, 1), padding=(3, 0), name="branch7x7dbl_4")(double)
        double = Unit(192, (1, 7), padding=(0, 3), name="branch7x7dbl_5")(double)
        pooled = Unit(192, average=True, name="branch_pool")(x)
        return jnp.concatenate([one, seven, double, pooled], axis=-1)


class BlockD(nn.Module):
    """Reduces 17 to 8 pixels: `[B, 17, 17, 768]` to `[B, 8, 8, 1280]`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        three = Unit(192, name="branch3x3_1")(x)
        three = Unit(320, (3, 3), stride=2, name="branch3x3_2")(three)
        seven = Unit(192, name="branch7x7x3_1")(x)
        seven = Unit(192, (1, 7), padding=(0, 3), name="branch7x7x3_2")(seven)
        seven = Unit(192, (7, 1), padding=(3, 0), name="branch7x7x3_3")(seven)
        seven = Unit(192, (3, 3), stride=2, name="branch7x7x3_4")(seven)
        return jnp.concatenate([three, seven, max_pool(x, stride=2)], axis=-1)


class BlockE(nn.Module):
    """8 pixels, a row and a column of 3 side by side: `[B, 8, 8, I]` to `[B, 8, 8, 2048]`."""

    largest: bool  # in the pooled branch: the maximum, as in the last block, or the average

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        one = Unit(320, name="branch1x1")(x)
        three = Unit(384, name="branch3x3_1")(x)
        double = Unit(448, name="branch3x3dbl_1")(x)
        double = Unit(384, (3, 3), padding=(1, 1), name="branch3x3dbl_2")(double)
        sides = [
            Unit(384, size, padding=padding, name=name + side)(h)
            for name, h in (("branch3x3_2", three), ("branch3x3dbl_3", double))
            for side, size, padding in (("a", (1, 3), (0, 1)), ("b", (3, 1), (1, 0)))
        ]
        x = max_pool(x, stride=1, padding=1) if self.largest else x
        pooled = Unit(192, average=not self.largest, name="branch_pool")(x)
        return jnp.concatenate([one, *sides, pooled], axis=-1)


def apply(params: PyTree, images: jax.Array) -> dict[str, jax.Array]:
    """Computes the outputs of the network for images; under `jax.jit`, an output that is not used is not computed.

    On a CPU 4 to 16 images at a time are fastest; more take longer each, in memory fresh from the system in each call.

    Args:
        params: as `from_torch` returns them.
        images: `[B, 299, 299, 3]` floats, as one of `tf1`, `half_pixel` and `clean` of `features.resize` returns them.

    Returns:
        `"2048"`: the features, means over all places of the last block, `[B, 2048]`. `"64"`, `"192"`, `"768"`: means after
        the first and second pooling and the last block of 17 pixels. `"logits_unbiased"`: without the last layer's bias, as
        the Inception score takes them, `[B, 1008]`; `"logits"`: with it.

    Raises:
        ValueError: one line, when the images have another shape.
    """
    if images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, 3):
        raise FieldError("images", f"shape {images.shape}", f"it must be [B, {SIDE}, {SIDE}, 3]")
    found: Any = Inception().apply({"params": params}, images)
    return found


@functools.cache
def shapes() -> PyTree:
    """The parameters' shapes and types, nested dicts of `jax.ShapeDtypeStruct`, as `from_torch` returns the parameters."""
    images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    return jax.eval_shape(Inception().init, jax.random.key(0), images)["params"]


def from_torch(tensors: Arrays) -> PyTree:
    """Parameters from the state dict of one of PyTorch's ports of the network, its batch normalisations folded.

    With a unit's scale s, bias b, mean m and variance v, `kernel' = kernel s / sqrt(v + 1e-3)` and
    `bias' = b - m s / sqrt(v + 1e-3)`, computed in float64.

    Args:
        tensors: by PyTorch name, `Mixed_5b.branch1x1.conv.weight` and so on, in PyTorch's layouts.

    Returns:
        Nested dicts of float32 numpy arrays, of a kernel and a bias each.

    Raises:
        ValueError: one line that names every tensor that is missing, surplus, misshaped or not finite.
    """
    adopted, _ = adopt(tensors, torch_layout())
    units: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for (*unit, name), x in flatten_dict(adopted).items():
        units.setdefault(tuple(unit), {})[name] = x
    return unflatten_dict({unit: _folded(**values) for unit, values in units.items()})


def torch_layout() -> dict[str, Tensor]:
    """Maps each tensor of the state dict, by its name there, to its place before the batch normalisations are folded."""
    layout = {}
    for (*unit, name), leaf in flatten_dict(shapes()).items():
        torch, path = ".".join(unit), ("params", *unit)
        if len(leaf.shape) == 4:
            *size, inputs, outputs = leaf.shape
            layout[f"{torch}.conv.weight"] = Tensor((outputs, inputs, *size), (*path, name), convolution)
            for theirs, ours in (("weight", "scale"), ("bias", "bias"), ("running_mean", "mean"), ("running_var", "var")):
                layout[f"{torch}.bn.{theirs}"] = Tensor((outputs,), (*path, ours))
            layout[f"{torch}.bn.num_batches_tracked"] = Tensor((), optional=True)
    layout["fc.weight"] = Tensor((CLASSES, 2048), ("params", "fc", "kernel"), linear)
    layout["fc.bias"] = Tensor((CLASSES,), ("params", "fc", "bias"))
    return layout


def _folded(kernel: np.ndarray, bias: np.ndarray, **norm: np.ndarray) -> dict[str, np.ndarray]:
    kernel, bias = kernel.astype(np.float64), bias.astype(np.float64)
    if norm:  # all but the last layer
        scale = norm["scale"] / np.sqrt(norm["var"].astype(np.float64) + EPSILON)
        kernel, bias = kernel * scale, bias - norm["mean"] * scale
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
