"""DINOv2 vision transformers without registers: the class token, the features of FD-DINOv2."""

import functools
import math
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.core.types import PyTree
from jaxgan.evaluation.features.resize import pillow_resize
from jaxgan.system.messages import FieldError
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear

SIDE = 224  # pixels of the input
OFFSET = 0.1  # of the published network's own code: a scale of 16.1 / 37 where 16 of 37 are meant
_GRID = 37  # patches a side that the published position embeddings are for, 518 / 14
_EPSILON = 1e-6  # of the layer norms
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of red, green and blue in [0, 1]


class DINOv2(nn.Module):
    """A vision transformer: normalised images `[B, H, H, 3]`, `H = side patch`, to its class token `[B, width]`.

    With `x` the class token and the embedded patches, plus their positions, each block is

        x <- x + s_0 attention(norm(x)),    x <- x + s_1 W_1 gelu(W_0 norm(x))

    References:
        Oquab et al. 2023, DINOv2: Learning robust visual features without supervision;
        Dosovitskiy et al. 2021, An image is worth 16x16 words, equations 1 to 4;
        Touvron et al. 2021, Going deeper with image transformers, for the scales s.
    """

    width: int = 1024
    depth: int = 24
    heads: int = 16
    patch: int = 14  # pixels
    side: int = 16  # patches
    # Accelerators round the factors of products to half precision unless told otherwise, and scores would depend on them.
    precision: lax.Precision = lax.Precision.HIGHEST

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = self.side * self.patch
        if x.ndim != 4 or x.shape[1:] != (size, size, 3):
            raise FieldError("x", f"shape {x.shape}", f"it must be (B, {size}, {size}, 3)")
        x = x.reshape(-1, self.side, self.patch, self.side, self.patch, 3)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, self.side**2, self.patch**2 * 3)
        x = nn.Dense(self.width, precision=self.precision, name="patch")(x)
        token = self.param("class_token", nn.initializers.normal(1e-6), (self.width,))
        position = self.param("position", nn.initializers.normal(0.02), (1 + self.side**2, self.width))
        first = jnp.broadcast_to(token, (x.shape[0], 1, self.width))
        x = jnp.concatenate([first, x], axis=1) + position[None]
        for i in range(self.depth):
            # Of the last block only the class token is asked for.
            kept = 1 if i == self.depth - 1 else 1 + self.side**2
            x = Block(self.heads, kept, self.precision, name=f"block_{i}")(x)
        return _norm("norm")(x[:, 0])


class Block(nn.Module):
    """Attention and a perceptron, residual: tokens `[B, T, W]` to the first of them, `[B, kept, W]`."""

    heads: int
    kept: int
    precision: lax.Precision

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        dense = functools.partial(nn.Dense, precision=self.precision)

        def scale(name: str) -> jax.Array:
            return self.param(name, nn.initializers.ones, (width,))[None, None]

        def split(h: jax.Array) -> jax.Array:
            return h.reshape(*h.shape[:2], self.heads, width // self.heads)

        h = _norm("norm_0")(x)
        x, asking = x[:, : self.kept], h[:, : self.kept]
        queries, keys, values = (
            split(dense(width, name=name)(of)) for name, of in (("query", asking), ("key", h), ("value", h))
        )
        h = nn.dot_product_attention(queries, keys, values, precision=self.precision)
        x = x + scale("scale_0") * dense(width, name="out")(h.reshape(*h.shape[:2], width))
        h = nn.gelu(dense(4 * width, name="hidden")(_norm("norm_1")(x)), approximate=False)
        return x + scale("scale_1") * dense(width, name="perceptron")(h)


BASE = DINOv2(width=768, depth=12, heads=12)
LARGE = DINOv2(width=1024, depth=24, heads=16)


def preprocess(images: jax.Array) -> jax.Array:
    """The network's input: resized to 224 pixels with Pillow's bicubic filter, clipped, `(x / 255 - mean) / deviation`.

    Nothing is rounded, as in the paper's code with its `clean_resize`; without, that resizes bytes, which rounds.

    Args:
        images: `[B, H, W, C]` in [0, 255], uint8 or floats, C = 3, or 1, which is repeated.

    Returns:
        `[B, 224, 224, 3]` float32.

    Raises:
        ValueError: one line, for other shapes or integers.

    References:
        Stein et al. 2023, Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion
        models.
    """
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise FieldError("images", f"shape {images.shape}", "it must be [B, H, W, 3] or [B, H, W, 1]")
    x = jnp.clip(pillow_resize(images, SIDE, SIDE), 0.0, 255.0) / 255.0
    mean, deviation = (jnp.asarray(values, x.dtype).reshape(1, 1, 1, 3) for values in (_MEAN, _DEVIATION))
    return (jnp.broadcast_to(x, (*x.shape[:3], 3)) - mean) / deviation


def from_torch(tensors: Arrays, module: DINOv2, *, offset: float = OFFSET) -> PyTree:
    """Parameters from a published state dict, by the names of Hugging Face's or of the authors' own code.

    Args:
        tensors: `encoder.layer.0.norm1.weight` or `blocks.0.norm1.weight` and so on, in PyTorch's layouts.
        module: the network, `BASE` or `LARGE`.
        offset: as for `interpolate`; 0.1 in the authors' code, which FD-DINOv2 is defined by, 0 in Hugging Face's.

    Returns:
        The parameters, with position embeddings for the module's side.

    Raises:
        ValueError: one line that names every tensor that is missing, surplus, misshaped or not finite.
    """
    tensors = _renamed(tensors)
    shape = np.shape(tensors.get("embeddings.position_embeddings", ()))
    grid = math.isqrt(shape[1] - 1) if len(shape) == 3 and shape[1] > 1 else _GRID
    params, _ = adopt(tensors, _layout(module, grid, offset))
    return params


def interpolate(positions: np.ndarray, side: int, *, offset: float = OFFSET) -> np.ndarray:
    """Position embeddings for another number of patches, by bicubic interpolation without a filter.

    Output i reads at `(i + 1/2) grid / (side + offset) - 1/2`, Keys' kernel with a = -3/4, the border repeated: PyTorch's
    `interpolate(mode="bicubic")` with `scale_factor = (side + offset) / grid`, and for offset 0 that with `size = side`.

    Args:
        positions: `[1 + grid^2, W]`, the class token's first.
        side: patches.
        offset: see above.

    Returns:
        `[1 + side^2, W]` in the dtype given, computed in float64; the same when `side = grid`.
    """
    grid = math.isqrt(len(positions) - 1)
    if side == grid:
        return positions
    places = (np.arange(side) + 0.5) * grid / (side + offset) - 0.5
    matrix = np.zeros((side, grid))
    for tap in (-1, 0, 1, 2):
        pixel = np.floor(places) + tap
        inside = np.clip(pixel, 0, grid - 1).astype(int)
        matrix[np.arange(side), inside] += _cubic(np.abs(places - pixel))
    patches = positions[1:].reshape(grid, grid, -1).astype(np.float64)
    patches = np.einsum("ih,jw,hwc->ijc", matrix, matrix, patches, optimize=True).reshape(side**2, -1)
    return np.concatenate([positions[:1], patches.astype(positions.dtype)])


def _cubic(x: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel of 1981 for any a, at distances of 0 to 2 pixels."""
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    return np.where(x <= 1, near, a * (((x - 5) * x + 8) * x - 4))


def _norm(name: str) -> nn.LayerNorm:
    # The fast variance, a difference of means of squares, loses digits.
    return nn.LayerNorm(epsilon=_EPSILON, use_fast_variance=False, name=name)


def _layout(module: DINOv2, grid: int, offset: float) -> dict[str, Tensor]:
    """Maps each tensor, by Hugging Face's names, to its place."""
    width, patch = module.width, module.patch

    def positions(x: np.ndarray) -> np.ndarray:
        return interpolate(x[0], module.side, offset=offset)

    def dense(torch: str, path: tuple[str, ...], outputs: int, inputs: int) -> dict[str, Tensor]:
        return {
            f"{torch}.weight": Tensor((outputs, inputs), ("params", *path, "kernel"), linear),
            f"{torch}.bias": Tensor((outputs,), ("params", *path, "bias")),
        }

    def norm(torch: str, path: tuple[str, ...]) -> dict[str, Tensor]:
        names = (("weight", "scale"), ("bias", "bias"))
        return {f"{torch}.{theirs}": Tensor((width,), ("params", *path, ours)) for theirs, ours in names}

    projection = "embeddings.patch_embeddings.projection"
    shape, path = (width, 3, patch, patch), ("params", "patch", "kernel")
    layout = {
        "embeddings.cls_token": Tensor((1, 1, width), ("params", "class_token"), np.ravel),
        "embeddings.mask_token": Tensor((1, width), optional=True),  # for training only
        "embeddings.position_embeddings": Tensor((1, 1 + grid**2, width), ("params", "position"), positions),
        f"{projection}.weight": Tensor(shape, path, lambda x: convolution(x).reshape(-1, width)),
        f"{projection}.bias": Tensor((width,), ("params", "patch", "bias")),
        **norm("layernorm", ("norm",)),
    }
    for i in range(module.depth):
        torch, block = f"encoder.layer.{i}", f"block_{i}"
        for name in ("query", "key", "value"):
            layout |= dense(f"{torch}.attention.attention.{name}", (block, name), width, width)
        layout |= dense(f"{torch}.attention.output.dense", (block, "out"), width, width)
        layout |= dense(f"{torch}.mlp.fc1", (block, "hidden"), 4 * width, width)
        layout |= dense(f"{torch}.mlp.fc2", (block, "perceptron"), width, 4 * width)
        for j in (0, 1):
            layout |= norm(f"{torch}.norm{j + 1}", (block, f"norm_{j}"))
            layout[f"{torch}.layer_scale{j + 1}.lambda1"] = Tensor((width,), ("params", block, f"scale_{j}"))
    return layout


_HUB = (  # the authors' names, and Hugging Face's
    (r"cls_token|mask_token", r"embeddings.\g<0>"),
    (r"pos_embed", r"embeddings.position_embeddings"),
    (r"patch_embed\.proj\.(\w+)", r"embeddings.patch_embeddings.projection.\1"),
    (r"norm\.(\w+)", r"layernorm.\1"),
    (r"blocks\.(\d+)\.((norm\d|mlp\.fc\d)\.\w+)", r"encoder.layer.\1.\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.ls(\d)\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
)


def _renamed(tensors: Arrays) -> dict[str, np.ndarray]:
    """By Hugging Face's names, whichever of the two they have; what is of neither keeps its own."""
    found: dict[str, np.ndarray] = {}
    for name, x in tensors.items():
        joint = re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", name)
        if joint and np.ndim(x):
            for part, rows in zip(("query", "key", "value"), np.array_split(x, 3), strict=True):
                found[f"encoder.layer.{joint[1]}.attention.attention.{part}.{joint[2]}"] = rows
            continue
        matches = (match.expand(theirs) for ours, theirs in _HUB if (match := re.fullmatch(ours, name)))
        found[next(matches, name)] = x
    return found
