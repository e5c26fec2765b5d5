"""Names and layouts of mimicry's SNGAN in PyTorch's state dicts."""

import math
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.nets.sngan import D_HALVES, G_BLOCKS, Discriminator, Generator
from jaxgan.system.messages import FieldError
from jaxgan.weights.foreign import Arrays, Tensor, adopt, convolution, linear


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
    raise FieldError("tensors", "none of an SNGAN", "its generator has l1.weight and its discriminator l5.weight_orig")


def torch_layout(module: Generator | Discriminator, latent_dim: int = 128) -> dict[str, Tensor]:
    """Places of all tensors of mimicry's state dict, by their names there.

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
