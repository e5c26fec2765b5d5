"""The networks of `jaxgan.nets` in PyTorch, unconditional: the same functions of the same weights, which both sides can share.

Latents are `[B, D]`, images `[B, C, H, W]` in (-1, 1), logits `[B]`. State dicts have the names that `from_torch` takes.
"""

import math
from collections import OrderedDict
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

SLOPE = 0.2  # of every leaky ReLU
SQRT_2 = math.sqrt(2.0)


def exported(module: nn.Module) -> dict[str, np.ndarray]:
    """Copies of parameters and buffers by name, contiguous, as `from_torch` takes them."""
    return {name: _array(x) for name, x in module.state_dict().items()}


def gradients(module: nn.Module) -> dict[str, np.ndarray]:
    """What `exported` gives with each parameter's gradient in its place, zeros where there is none."""
    found = {name: x.grad if x.grad is not None else torch.zeros_like(x) for name, x in module.named_parameters()}
    return exported(module) | {name: _array(x) for name, x in found.items()}


def _array(x: Tensor) -> np.ndarray:
    return np.array(x.detach().cpu().numpy(), order="C")


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _normal(layer: nn.Module, deviation: float) -> nn.Module:
    nn.init.normal_(layer.weight, 0.0, deviation)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


# ------------------------------------------------------------------------------------------------------------------- MLP


def mlp_generator(latent_dim: int, hidden: int, depth: int, output: int | tuple[int, int, int]) -> nn.Sequential:
    """`jaxgan.nets.mlp.Generator` without normalisation: points of so many coordinates, or images (C, H, W) through tanh."""
    widths = [latent_dim, *[hidden] * depth]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [_normal(nn.Linear(inputs, outputs), math.sqrt(2.0 / inputs)), nn.ReLU(True)]
    outputs = output if isinstance(output, int) else math.prod(output)
    layers.append(_normal(nn.Linear(widths[-1], outputs), 1.0 / math.sqrt(widths[-1])))
    return nn.Sequential(*layers) if isinstance(output, int) else nn.Sequential(*layers, nn.Tanh(), nn.Unflatten(1, output))


def mlp_discriminator(inputs: int, hidden: int, depth: int) -> nn.Sequential:
    """`jaxgan.nets.mlp.Discriminator` without normalisation, of points or images of so many numbers each."""
    layers: list[nn.Module] = [nn.Flatten()]
    for ins, outs in pairwise([inputs, *[hidden] * depth]):
        layers += [_normal(nn.Linear(ins, outs), math.sqrt(2.0 / ins)), nn.LeakyReLU(SLOPE, True)]
    return nn.Sequential(*layers, _normal(nn.Linear(hidden, 1), 1.0 / math.sqrt(hidden)), nn.Flatten(0))


# ----------------------------------------------------------------------------------------------------------------- DCGAN


def dcgan_generator(size: int, width: int, latent_dim: int = 100) -> nn.Sequential:
    """`jaxgan.nets.dcgan.Generator` with batch normalisation, for images of 32 or 64 pixels."""
    widths = [width * size // 8 // 2**i for i in range(size.bit_length() - 3)]
    layers: list[nn.Module] = [_normal(nn.ConvTranspose2d(latent_dim, widths[0], 4, 1, 0, bias=False), 0.02)]
    for inputs, outputs in pairwise([*widths, 3]):
        up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
        layers += [_scale_about_one(inputs), nn.ReLU(True), _normal(up, 0.02)]
    return _named(latents=nn.Unflatten(1, (latent_dim, 1, 1)), main=nn.Sequential(*layers, nn.Tanh()))


def dcgan_discriminator(size: int, width: int) -> nn.Sequential:
    """`jaxgan.nets.dcgan.Discriminator` with batch normalisation, for images of 32 or 64 pixels."""
    widths = [width * 2**i for i in range(size.bit_length() - 3)]
    layers = [_normal(nn.Conv2d(3, width, 4, 2, 1, bias=False), 0.02), nn.LeakyReLU(SLOPE, True)]
    for inputs, outputs in pairwise(widths):
        down = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        layers += [_normal(down, 0.02), _scale_about_one(outputs), nn.LeakyReLU(SLOPE, True)]
    layers.append(_normal(nn.Conv2d(widths[-1], 1, 4, bias=False), 0.02))
    return _named(main=nn.Sequential(*layers), logits=nn.Flatten(0))


def _scale_about_one(features: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(features)
    nn.init.normal_(norm.weight, 1.0, 0.02)
    return norm


# ----------------------------------------------------------------------------------------------------------------- SNGAN


def _xavier(layer: nn.Module, gain: float = 1.0, spectral: bool = False) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return spectral_norm(layer) if spectral else layer


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class SNGANGeneratorBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.b1, self.b2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.c1 = _xavier(nn.Conv2d(width, width, 3, padding=1), SQRT_2)
        self.c2 = _xavier(nn.Conv2d(width, width, 3, padding=1), SQRT_2)
        self.c_sc = _xavier(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.c1(_doubled(F.relu(self.b1(x), inplace=True)))
        h = self.c2(F.relu(self.b2(h), inplace=True))
        # Before it is enlarged: the two commute, and there are a quarter of the pixels.
        return h + _doubled(self.c_sc(x))


class SNGANDiscriminatorBlock(nn.Module):
    def __init__(self, inputs: int, width: int, *, halve: bool, first: bool) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.c1 = _xavier(nn.Conv2d(inputs, width, 3, padding=1), SQRT_2, spectral=True)
        self.c2 = _xavier(nn.Conv2d(width, width, 3, padding=1), SQRT_2, spectral=True)
        if halve:
            self.c_sc = _xavier(nn.Conv2d(inputs, width, 1), spectral=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.first else F.relu(x, inplace=True)
        h = self.c2(F.relu(self.c1(x), inplace=True))
        return self.c_sc(F.avg_pool2d(x, 2)) + F.avg_pool2d(h, 2) if self.halve else x + h


class SumOfPositive(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x, inplace=True).sum((2, 3))


def sngan_generator(width: int, latent_dim: int) -> nn.Sequential:
    """`jaxgan.nets.sngan.Generator`, for images of 32 pixels."""
    return _named(
        l1=_xavier(nn.Linear(latent_dim, 16 * width)),
        maps=nn.Unflatten(1, (width, 4, 4)),
        **{f"block{i}": SNGANGeneratorBlock(width) for i in (2, 3, 4)},
        b5=nn.BatchNorm2d(width),
        activation=nn.ReLU(True),
        c5=_xavier(nn.Conv2d(width, 3, 3, padding=1)),
        images=nn.Tanh(),
    )


def sngan_discriminator(width: int) -> nn.Sequential:
    """`jaxgan.nets.sngan.Discriminator`, for images of 32 pixels."""
    return _named(
        **{f"block{i}": SNGANDiscriminatorBlock(3 if i == 1 else width, width, halve=i < 3, first=i == 1) for i in range(1, 5)},
        features=SumOfPositive(),
        l5=_xavier(nn.Linear(width, 1), spectral=True),
        logits=nn.Flatten(0),
    )


# -------------------------------------------------------------------------------------- filters, of R3GAN and of StyleGAN2


class LowPass(nn.Module):
    """The filter (1, 3, 3, 1) / 8 along both axes, channel by channel, with the sides doubled, halved or kept."""

    def __init__(self, channels: int, *, up: bool = False, down: bool = False, padding: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.up, self.channels, self.padding, self.stride = up, channels, padding, 2 if up or down else 1
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
        kernel = torch.outer(taps, taps) * (4.0 * gain if up else gain)  # among zeros a quarter of the pixels count
        self.register_buffer("kernel", kernel.repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        convolve = F.conv_transpose2d if self.up else F.conv2d
        return convolve(x, self.kernel, stride=self.stride, padding=self.padding, groups=self.channels)


# ----------------------------------------------------------------------------------------------------------------- R3GAN


def _layer(inputs: int, outputs: int, gain: float = 1.0, size: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)
    return _named(Layer=_normal(layer, gain / math.sqrt(inputs // groups * size**2)))


class R3GANBlock(nn.Module):
    def __init__(self, width: int, groups: int, expansion: int, depth: int) -> None:
        super().__init__()
        wide, gain, self.groups = expansion * width, math.sqrt(2.0 / (1.0 + SLOPE**2)) * depth**-0.25, groups
        self.LinearLayer1, self.LinearLayer3 = _layer(width, wide, gain), _layer(wide, width, 0.0)
        self.LinearLayer2 = _layer(wide, wide, gain, 3, groups)
        self.NonLinearity1, self.NonLinearity2 = (nn.ParameterDict({"Bias": torch.zeros(wide)}) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        # A convolution adds a bias at less cost than a sum of its own would have.
        h = F.conv2d(x, self.LinearLayer1.Layer.weight, self.NonLinearity1.Bias)
        h = F.leaky_relu(h, SLOPE, inplace=True)
        h = F.conv2d(h, self.LinearLayer2.Layer.weight, self.NonLinearity2.Bias, padding=1, groups=self.groups)
        # In this order the sum has the memory format of the convolutions, which the start of G does not know.
        return self.LinearLayer3(F.leaky_relu(h, SLOPE, inplace=True)) + x


class R3GANStart(nn.Module):
    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        self.Basis = nn.Parameter(torch.randn(width, 4, 4))
        self.LinearLayer = _normal(nn.Linear(latent_dim, width, bias=False), 1.0 / math.sqrt(latent_dim))

    def forward(self, z: Tensor) -> Tensor:
        return self.LinearLayer(z)[:, :, None, None] * self.Basis


def _end(width: int) -> nn.Sequential:
    maps, linear = nn.Conv2d(width, width, 4, groups=width, bias=False), nn.Linear(width, 1, bias=False)
    return _named(Basis=_normal(maps, 0.25), features=nn.Flatten(), LinearLayer=_normal(linear, 1.0 / math.sqrt(width)))


def r3gan_generator(
    widths: tuple[int, ...], groups: tuple[int, ...], latent_dim: int = 64, expansion: int = 2, blocks: int = 2
) -> nn.Sequential:
    """`jaxgan.nets.r3gan.Generator`, its stages from 4x4 pixels up."""
    stages = []
    for k, width in enumerate(widths):
        layers = [R3GANBlock(width, groups[k], expansion, blocks * len(widths)) for _ in range(blocks)]
        change = {"LinearLayer": _layer(widths[k - 1], width)} if k and widths[k - 1] != width else {}
        first = _named(**change, Resampler=LowPass(width, up=True)) if k else R3GANStart(latent_dim, width)
        stages.append(_named(Layers=nn.Sequential(first, *layers)))
    return _named(Model=_named(MainLayers=nn.Sequential(*stages), AggregationLayer=_layer(widths[-1], 3)))


def r3gan_discriminator(widths: tuple[int, ...], groups: tuple[int, ...], expansion: int = 2, blocks: int = 2) -> nn.Sequential:
    """`jaxgan.nets.r3gan.Discriminator`, its widths and groups from 4x4 pixels up."""
    stages = []
    for k, width in reversed(list(enumerate(widths))):
        layers = [R3GANBlock(width, groups[k], expansion, blocks * len(widths)) for _ in range(blocks)]
        change = {"LinearLayer": _layer(width, widths[k - 1])} if k and widths[k - 1] != width else {}
        last = _named(Resampler=LowPass(width, down=True), **change) if k else _end(width)
        stages.append(_named(Layers=nn.Sequential(*layers, last)))
    network = _named(ExtractionLayer=_layer(3, widths[-1]), MainLayers=nn.Sequential(*stages))
    return _named(Model=network, logits=nn.Flatten(0))


# ---------------------------------------------------------------------------------------------------------------- ResNet


class Residual(nn.Module):
    """`jaxgan.nets.resnet.Block` of pictures, without normalisation."""

    def __init__(self, width: int, expansion: int, depth: int) -> None:
        super().__init__()
        wide, gain = expansion * width, math.sqrt(2.0 / (1.0 + SLOPE**2)) * depth**-0.25
        self.widen, self.conv = _normal(nn.Conv2d(width, wide, 1), gain / math.sqrt(width)), nn.Conv2d(wide, wide, 3, padding=1)
        _normal(self.conv, gain / math.sqrt(9 * wide))
        self.narrow = _normal(nn.Conv2d(wide, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.widen(x), SLOPE, inplace=True)
        return self.narrow(F.leaky_relu(self.conv(h), SLOPE, inplace=True)) + x


def resnet_widths(size: int, width: int, most: int) -> list[int]:
    """Channels of each level, from the finest, of squares of 4 times a power of two."""
    return [min(width * 2**k, most) for k in range(size.bit_length() - 2)]


class ResNetGenerator(nn.Module):
    """`jaxgan.nets.resnet.Generator` of square pictures in patches of one pixel, a block for each level."""

    def __init__(self, size: int, width: int, most: int, expansion: int, latent_dim: int) -> None:
        super().__init__()
        widths = resnet_widths(size, width, most)
        last = len(widths) - 1
        self.basis = nn.Parameter(torch.randn(widths[last], 4, 4))
        self.linear = _normal(nn.Linear(latent_dim, widths[last], bias=False), 1.0 / math.sqrt(latent_dim))
        for k in reversed(range(len(widths))):
            if k < last and widths[k] != widths[k + 1]:
                self.add_module(f"change_{k}", _pointwise(widths[k + 1], widths[k]))
            self.add_module(f"block_{k}_0", Residual(widths[k], expansion, len(widths)))
        self.to_samples, self.levels = _pointwise(width, 3), len(widths)

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(z)[:, :, None, None] * self.basis
        for k in reversed(range(self.levels)):
            if k < self.levels - 1:
                x = _doubled(self.get_submodule(f"change_{k}")(x) if hasattr(self, f"change_{k}") else x)
            x = self.get_submodule(f"block_{k}_0")(x)
        return self.to_samples(x)


class ResNetDiscriminator(nn.Module):
    """`jaxgan.nets.resnet.Discriminator` of square pictures, as `ResNetGenerator`."""

    def __init__(self, size: int, width: int, most: int, expansion: int) -> None:
        super().__init__()
        widths = resnet_widths(size, width, most)
        self.from_samples, self.levels = _pointwise(3, width), len(widths)
        for k, channels in enumerate(widths):
            if k and channels != widths[k - 1]:
                self.add_module(f"change_{k}", _pointwise(widths[k - 1], channels))
            self.add_module(f"block_{k}_0", Residual(channels, expansion, len(widths)))
        self.basis = nn.Parameter(torch.randn(widths[-1], 4, 4) / 4.0)
        self.linear = _normal(nn.Linear(widths[-1], 1, bias=False), 1.0 / math.sqrt(widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.from_samples(x)
        for k in range(self.levels):
            if k:
                x = F.avg_pool2d(x, 2)
                x = self.get_submodule(f"change_{k}")(x) if hasattr(self, f"change_{k}") else x
            x = self.get_submodule(f"block_{k}_0")(x)
        return self.linear((x * self.basis).sum((2, 3)))[:, 0]


def _pointwise(inputs: int, outputs: int) -> nn.Module:
    return _normal(nn.Conv2d(inputs, outputs, 1, bias=False), 1.0 / math.sqrt(inputs))


# ------------------------------------------------------------------------------------------------------------- StyleGAN2
# A leaky ReLU times sqrt 2 is the leaky ReLU of sqrt 2 times as much: that factor goes into the weights before it.


class EqualisedLinear(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, linear: bool = False, multiplier: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.linear, self.bias_gain = linear, multiplier * (1.0 if linear else SQRT_2)
        self.weight_gain = self.bias_gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return y if self.linear else F.leaky_relu(y, SLOPE, inplace=True)


class EqualisedConv(nn.Module):
    """Filtered before where it halves the sides; the skip of a residual block is linear and without bias."""

    def __init__(self, ins: int, outs: int, size: int, *, down: bool = False, skip: bool = False, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outs, ins, size, size))
        self.bias = None if skip else nn.Parameter(torch.zeros(outs))
        self.bias_gain = gain if skip else gain * SQRT_2
        self.weight_gain = self.bias_gain / math.sqrt(ins * size**2)
        # Of one pixel a kernel commutes with leaving pixels out, so the filter does that.
        self.stride, self.padding = 2 if down and size > 1 else 1, 0 if down else size // 2
        self.filter = LowPass(ins, down=size == 1, padding=1 + size // 2) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.bias_gain
        y = F.conv2d(self.filter(x), self.weight * self.weight_gain, bias, self.stride, self.padding)
        return y if bias is None else F.leaky_relu(y, SLOPE, inplace=True)


def _modulated(x: Tensor, weight: Tensor, styles: Tensor, factors: Tensor | None, *, up: bool, grouped: bool) -> Tensor:
    """Convolution of inputs times `styles` `[B, I]`, its outputs times `factors` `[B, O]`; if up, sides of 2 H + 1."""
    batch, outs, size = len(x), weight.shape[0], weight.shape[-1]
    if not grouped:
        x = x * styles[:, :, None, None]
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2) if up else F.conv2d(x, weight, padding=size // 2)
        return y if factors is None else y * factors[:, :, None, None]
    scales = styles[:, None] if factors is None else styles[:, None] * factors[:, :, None]
    weights = weight * scales[..., None, None]  # [B, O, I, K, K]
    x = x.reshape(1, -1, *x.shape[2:])
    if up:
        y = F.conv_transpose2d(x, weights.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)
    else:
        y = F.conv2d(x, weights.flatten(0, 1), padding=size // 2, groups=batch)
    return y.reshape(batch, outs, *y.shape[2:])


class StyleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, style_dim: int, side: int, *, up: bool, grouped: bool) -> None:
        super().__init__()
        self.side, self.up, self.grouped = side, up, grouped
        self.affine = EqualisedLinear(style_dim, inputs, linear=True, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias, self.noise_strength = nn.Parameter(torch.zeros(outputs)), nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(side, side))
        self.filter = LowPass(outputs, gain=4.0) if up else nn.Identity()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w)
        factors = torch.rsqrt(styles.square() @ self.weight.square().sum((2, 3)).T + 1e-8) * SQRT_2
        y = self.filter(_modulated(x, self.weight, styles, factors, up=self.up, grouped=self.grouped))
        noise = x.new_empty(len(x), 1, self.side, self.side).normal_() if self.training else self.noise_const
        y = y + noise * (self.noise_strength * SQRT_2)
        return F.leaky_relu(y.add_((self.bias * SQRT_2)[:, None, None]), SLOPE, inplace=True)


class ToRGB(nn.Module):
    def __init__(self, inputs: int, style_dim: int, *, grouped: bool) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, inputs, linear=True, bias=1.0)
        self.weight, self.bias = nn.Parameter(torch.randn(3, inputs, 1, 1)), nn.Parameter(torch.zeros(3))
        self.gain, self.grouped = 1.0 / math.sqrt(inputs), grouped

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = _modulated(x, self.weight, self.affine(w) * self.gain, None, up=False, grouped=self.grouped)
        return y + self.bias[:, None, None]


class SynthesisBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, style_dim: int, side: int, *, grouped: bool) -> None:
        super().__init__()
        if side == 4:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = StyleConv(inputs, outputs, style_dim, side, up=True, grouped=grouped)
            self.enlarge = LowPass(3, up=True)
        self.conv1 = StyleConv(outputs, outputs, style_dim, side, up=False, grouped=grouped)
        self.torgb = ToRGB(outputs, style_dim, grouped=grouped)

    def forward(self, x: Tensor | None, image: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor]:
        if x is None or image is None:
            x = self.conv1(self.const.expand(len(w), -1, -1, -1), w)
            return x, self.torgb(x, w)
        x = self.conv1(self.conv0(x, w), w)
        return x, self.enlarge(image) + self.torgb(x, w)


class Synthesis(nn.ModuleDict):
    def forward(self, w: Tensor) -> Tensor:
        x, image = None, None
        for block in self.values():
            x, image = block(x, image, w)
        return image


class Mapping(nn.Sequential):
    def __init__(self, latent_dim: int, style_dim: int, depth: int) -> None:
        widths = [latent_dim, *[style_dim] * depth]
        layers = (EqualisedLinear(*pair, multiplier=0.01) for pair in pairwise(widths))
        super().__init__(OrderedDict((f"fc{i}", layer) for i, layer in enumerate(layers)))
        self.register_buffer("w_avg", torch.zeros(style_dim))

    def forward(self, z: Tensor) -> Tensor:
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self:
            w = layer(w)
        if self.training:
            with torch.no_grad():
                self.w_avg.lerp_(w.mean(0).to(self.w_avg.dtype), 0.005)
        return w


class DiscriminatorBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.fromrgb = EqualisedConv(3, inputs, 1) if first else nn.Identity()
        self.conv0 = EqualisedConv(inputs, inputs, 3)
        self.conv1 = EqualisedConv(inputs, outputs, 3, down=True, gain=math.sqrt(0.5))
        self.skip = EqualisedConv(inputs, outputs, 1, down=True, skip=True, gain=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.fromrgb(x)
        return self.skip(x) + self.conv1(self.conv0(x))


class DiscriminatorEnd(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.fc = EqualisedConv(width + 1, width, 3), EqualisedLinear(16 * width, width)
        self.out = EqualisedLinear(width, 1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        size = min(4, len(x))
        deviation = (x.unflatten(0, (size, -1)).var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        x = torch.cat([x, deviation.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)
        return self.out(self.fc(self.conv(x).flatten(1)))[:, 0]


def _widths(size: int, channel_base: int, channel_max: int) -> dict[int, int]:
    return {2**i: min(channel_base // 2**i, channel_max) for i in range(2, size.bit_length())}


def stylegan2_generator(
    size: int, channel_base: int, channel_max: int, style_dim: int, latent_dim: int, depth: int = 8, grouped: bool = True
) -> nn.Sequential:
    """`jaxgan.nets.stylegan2.Generator`, "skip"; `grouped`: each sample has its own kernels, else activations are scaled."""
    blocks, inputs = {}, 0
    for side, outputs in _widths(size, channel_base, channel_max).items():
        blocks[f"b{side}"] = SynthesisBlock(inputs, outputs, style_dim, side, grouped=grouped)
        inputs = outputs
    return _named(mapping=Mapping(latent_dim, style_dim, depth), synthesis=Synthesis(blocks))


def stylegan2_discriminator(size: int, channel_base: int, channel_max: int) -> nn.Sequential:
    """`jaxgan.nets.stylegan2.Discriminator`, "resnet", the deviation measured over groups of four."""
    widths = _widths(size, channel_base, channel_max)
    sides = sorted(widths, reverse=True)[:-1]
    blocks = {f"b{side}": DiscriminatorBlock(widths[side], widths[side // 2], first=side == size) for side in sides}
    return _named(**blocks, b4=DiscriminatorEnd(widths[4]))
