"""Names and layouts of stylegan2-ada-pytorch in PyTorch's state dicts."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgan.core.types import PyTree
from jaxgan.nets import stylegan2
from jaxgan.nets.stylegan2 import Discriminator, Generator
from jaxgan.nets.stylegan2_operations import LOW_PASS
from jaxgan.system.messages import FieldError
from jaxgan.weights import foreign


def from_torch(
    tensors: foreign.Arrays, *, conv_clamp: float | None = None, mbstd_group: int | None = 4
) -> tuple[Generator | Discriminator, PyTree, PyTree]:
    """A network of stylegan2-ada-pytorch, G or D, from the tensors of its state dict.

    Args:
        tensors: by PyTorch name, in PyTorch's layouts.
        conv_clamp: as in `Generator`; it leaves no trace in a state dict. The pretrained networks have 256.
        mbstd_group: as in `Discriminator`; likewise.

    Returns:
        `(module, params, stats)`.

    Raises:
        ValueError: one line that says which tensors are no such network's.
    """
    module = module_of(tensors, conv_clamp=conv_clamp, mbstd_group=mbstd_group)
    latent_dim = None
    if isinstance(module, Generator):
        latent_dim = _shape(tensors, "mapping.fc0.weight", 2)[1] - (module.w_dim if module.classes else 0)
    return module, *foreign.adopt(tensors, torch_layout(module, latent_dim))


def module_of(
    tensors: foreign.Arrays, *, conv_clamp: float | None = None, mbstd_group: int | None = 4
) -> Generator | Discriminator:
    """The network that a state dict belongs to, from the names and shapes in it; arguments and errors as of `from_torch`."""
    if not {"synthesis.b4.const", "b4.out.weight"} & tensors.keys():
        raise ValueError("tensors: neither synthesis.b4.const nor b4.out.weight, so no generator or discriminator of StyleGAN2")
    prefix, layer, colour = ("synthesis.", "conv1", "torgb") if "synthesis.b4.const" in tensors else ("", "conv0", "fromrgb")
    found = (re.match(rf"{re.escape(prefix)}b(\d{{1,5}})\.", name) for name in tensors)
    sides = sorted({int(match[1]) for match in found if match})
    # The 4x4 part of D has one convolution.
    kernels = {side: f"{prefix}b{side}.{'conv' if side == 4 and not prefix else layer}.weight" for side in sides}
    channel_base, channel_max = _widths({side: _shape(tensors, name, 4)[0] for side, name in kernels.items()})
    depth = sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in tensors)
    resnet = any(name.endswith(".skip.weight") for name in tensors)
    fields: dict[str, Any] = {
        "image_size": sides[-1],
        "channels": _shape(tensors, f"{prefix}b{sides[-1]}.{colour}.weight", 4)[0 if prefix else 1],
        "classes": _shape(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "architecture": "skip" if f"{prefix}b4.{colour}.weight" in tensors else "resnet" if resnet else "orig",
        "conv_clamp": conv_clamp,
    }
    if prefix:
        w_dim = _shape(tensors, "synthesis.b4.conv1.affine.weight", 2)[1]
        noise = "synthesis.b4.conv1.noise_strength" in tensors
        return Generator(**fields, w_dim=w_dim, mapping_layers=depth, noise=noise)
    outs, ins = _shape(tensors, "b4.conv.weight", 4)[:2]
    fields["mapping_layers"] = depth if fields["classes"] else Discriminator.mapping_layers
    return Discriminator(**fields, mbstd_group=mbstd_group, mbstd_features=ins - outs)


def torch_layout(module: Generator | Discriminator, latent_dim: int | None = None) -> dict[str, foreign.Tensor]:
    """Every tensor of the network's state dict in stylegan2-ada-pytorch, and where it goes.

    Args:
        module: the network.
        latent_dim: length of G's latents; by default that of w.

    Returns:
        Tensors by PyTorch name.
    """
    if isinstance(module, Generator):
        return _layout_of_generator(module, module.w_dim if latent_dim is None else latent_dim)
    return _layout_of_discriminator(module)


def _layout_of_generator(module: Generator, latent_dim: int) -> dict[str, foreign.Tensor]:
    layout = _mapping(latent_dim, module.w_dim, module)
    layout["mapping.w_avg"] = foreign.Tensor((module.w_dim,), ("averages", "w_avg"))
    ins = 0
    for side in stylegan2.resolutions(module):
        name, path, outs = f"synthesis.b{side}", (f"block_{side}",), stylegan2.channels_at(module, side)
        layout |= _filter(name)
        if not ins:
            layout[f"{name}.const"] = foreign.Tensor((outs, 4, 4), ("params", *path, "const"), _channels_last)
        for i, width in enumerate((ins, outs)):
            if not width:
                continue
            conv, to = f"{name}.conv{i}", (*path, f"conv_{i}")
            layout |= _conv(conv, to, width, outs, 3) | _dense(f"{conv}.affine", (*to, "affine"), module.w_dim, width)
            if module.noise:
                layout[f"{conv}.noise_strength"] = foreign.Tensor((), ("params", *to, "noise_strength"))
                layout[f"{conv}.noise_const"] = foreign.Tensor((side, side), ("noise_const", *to, "noise"))
        if side == module.image_size or module.architecture == "skip":
            rgb, to = f"{name}.torgb", (*path, "to_rgb")
            layout |= _conv(rgb, to, outs, module.channels, 1) | _dense(f"{rgb}.affine", (*to, "affine"), module.w_dim, outs)
            del layout[f"{rgb}.resample_filter"]  # the only one without
        if ins and module.architecture == "resnet":
            layout |= _conv(f"{name}.skip", (*path, "skip"), ins, outs, 1, bias=False)
        ins = outs
    return layout


def _layout_of_discriminator(module: Discriminator) -> dict[str, foreign.Tensor]:
    layout: dict[str, foreign.Tensor] = {}
    for side in reversed(stylegan2.resolutions(module)[1:]):
        name, path = f"b{side}", (f"block_{side}",)
        ins, outs = stylegan2.channels_at(module, side), stylegan2.channels_at(module, side // 2)
        layout |= _filter(name)
        if side == module.image_size or module.architecture == "skip":
            layout |= _conv(f"{name}.fromrgb", (*path, "from_rgb"), module.channels, ins, 1)
        layout |= _conv(f"{name}.conv0", (*path, "conv_0"), ins, ins, 3) | _conv(
            f"{name}.conv1", (*path, "conv_1"), ins, outs, 3
        )
        if module.architecture == "resnet":
            layout |= _conv(f"{name}.skip", (*path, "skip"), ins, outs, 1, bias=False)
    width = stylegan2.channels_at(module, 4)
    if module.architecture == "skip":
        layout |= _conv("b4.fromrgb", ("block_4", "from_rgb"), module.channels, width, 1)
    layout |= _conv("b4.conv", ("block_4", "conv"), width + module.mbstd_features, width, 3)
    layout |= _dense("b4.fc", ("block_4", "dense"), 16 * width, width, _of_map)
    layout |= _dense("b4.out", ("block_4", "out"), width, width if module.classes else 1)
    return layout | (_mapping(0, width, module) if module.classes else {})


def _mapping(ins: int, width: int, module: Generator | Discriminator) -> dict[str, foreign.Tensor]:
    layout = {}
    if module.classes:
        layout = _dense("mapping.embed", ("mapping", "embed"), module.classes, width)
        ins += width
    for i in range(module.mapping_layers):
        layout |= _dense(f"mapping.fc{i}", ("mapping", f"dense_{i}"), width if i else ins, width)
    return layout


def _conv(name: str, path: tuple[str, ...], ins: int, outs: int, size: int, bias: bool = True) -> dict[str, foreign.Tensor]:
    kernel = foreign.Tensor((outs, ins, size, size), ("params", *path, "kernel"), foreign.convolution)
    layout = {f"{name}.weight": kernel} | _filter(name)
    return layout | ({f"{name}.bias": foreign.Tensor((outs,), ("params", *path, "bias"))} if bias else {})


def _dense(
    name: str, path: tuple[str, ...], ins: int, outs: int, convert: Callable[[np.ndarray], np.ndarray] = foreign.linear
) -> dict[str, foreign.Tensor]:
    kernel = foreign.Tensor((outs, ins), ("params", *path, "kernel"), convert)
    return {f"{name}.weight": kernel, f"{name}.bias": foreign.Tensor((outs,), ("params", *path, "bias"))}


def _filter(name: str) -> dict[str, foreign.Tensor]:
    fixed = foreign.Tensor((4, 4), fixed=np.outer(LOW_PASS, LOW_PASS), optional=True)
    return {f"{name}.resample_filter": fixed}


def _channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(1, 2, 0)


def _of_map(x: np.ndarray) -> np.ndarray:
    """A matrix on flattened maps (C, 4, 4) to one on `[4, 4, C]`."""
    return x.reshape(len(x), -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, len(x))


def _shape(tensors: foreign.Arrays, name: str, rank: int) -> tuple[int, ...]:
    if name not in tensors:
        raise ValueError(f"tensors: missing: {name}")
    shape = np.shape(tensors[name])
    if len(shape) != rank:
        raise FieldError("tensors", f"misshaped: {name} has {len(shape)} axes", f"it must have {rank}")
    return shape


def _widths(features: dict[int, int]) -> tuple[int, int]:
    """The base and the maximum that give the features at each side: `min(base // side, maximum)`."""
    base, maximum = max(side * count for side, count in features.items()), max(features.values())
    unlike = [f"{n} at {side}" for side, n in features.items() if min(base // side, maximum) != n]
    if unlike:
        rule = f"min({base} // side, {maximum})"
        raise FieldError("tensors", f"features {', '.join(unlike)}", f"those of the other sides ask for {rule}")
    return base, maximum
