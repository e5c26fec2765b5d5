"""StyleGAN2 with the settings of StyleGAN2-ADA: a mapping to styles, a synthesis that they steer, and its discriminator.

G is two networks. `map` turns a latent z into w, one copy for each layer; `synthesize` turns those ws into an image.
Truncation, style mixing and path-length regularisation happen between the two. `weights.names.stylegan2` reads the weights
of stylegan2-ada-pytorch.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.nets import sides
from jaxgan.nets.checks import check_counts, check_flags, check_numbers, check_word, is_whole
from jaxgan.nets.layers import recomputed
from jaxgan.nets.stylegan2_layers import (
    DiscriminatorBlock,
    Epilogue,
    Mapping,
    Noise,
    SynthesisBlock,
)
from jaxgan.system.messages import FieldError, not_one_of, shown

ARCHITECTURES = ("skip", "resnet", "orig")
W_AVERAGE_DECAY = 0.995  # a batch


class Generator(nn.Module):
    """G: latents `[B, D]` to images `[B, image_size, image_size, channels]`, of any real value, about (-1, 1).

    Conditional when `classes > 0`: the label's learnt vector is appended to z. The average of w over training lies in the
    collection `averages`, the noise that sampling adds in `noise_const`; in training noise is drawn anew.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN; Karras et al. 2020, Training generative
        adversarial networks with limited data; Karras et al. 2019, A style-based generator architecture for GANs, 3.1.
    """

    image_size: int = 32  # 8, 16, 32 and so on
    channels: int = 3
    classes: int = 0
    w_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 16384  # features at a side: channel_base // side, at most channel_max
    channel_max: int = 512
    architecture: str = "skip"  # or resnet, orig
    style_mixing: float = 0.0  # probability in training that the finer layers get the w of another z
    conv_clamp: float | None = None  # bound on the values after each layer
    bfloat16_levels: int = 0  # how many of the highest resolutions are computed in bfloat16
    remat: bool = False  # keep a resolution's input only, and compute the rest again for the gradients
    noise: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_counts(self, {"w_dim": 1})
        check_numbers(self, {"style_mixing": (0.0, 1.0)})

    def setup(self) -> None:
        self.mapping = Mapping(self.w_dim, self.mapping_layers, self.classes)
        sides = resolutions(self)
        self.block = {
            str(side): SynthesisBlock(
                channels_at(self, side), side, self.channels, self.architecture, side == self.image_size, self.noise,
                self.conv_clamp, bfloat16=i >= len(sides) - self.bfloat16_levels,
            )
            for i, side in enumerate(sides)
        }  # fmt: skip
        self.w_avg = self.variable("averages", "w_avg", jnp.zeros, (self.w_dim,))

    @property
    def num_ws(self) -> int:
        """Number of styles w: one for each convolution, one for the last image layer; other image layers share the next's."""
        return 2 * len(resolutions(self))

    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        return self.synthesize(self.map(z, labels, train=train), train=train)

    def map(
        self, z: jax.Array, labels: jax.Array | None = None, *, train: bool = False, truncation: float | None = None
    ) -> jax.Array:
        """Maps latents to styles.

        Args:
            z: `[B, D]`.
            labels: `[B]` int32, needed when `classes > 0`.
            train: mix styles; and let `averages` follow w, where that collection is mutable.
            truncation: psi of `truncate`; None for no truncation.

        Returns:
            `[B, num_ws, w_dim]`, the same w for each layer but where styles are mixed.

        Raises:
            ValueError: when there are classes and no labels, or psi is not finite.
        """
        w = self.mapping(z, labels, z.dtype)
        if train and self.is_mutable_collection("averages") and not self.is_initializing():
            mean = lax.stop_gradient(w.mean(axis=0))
            self.w_avg.value = mean + (self.w_avg.value - mean) * W_AVERAGE_DECAY
        ws = jnp.broadcast_to(w[:, None, :], (w.shape[0], self.num_ws, self.w_dim))
        if train and self.style_mixing > 0.0:
            ws = self._mixed(ws, z, labels)
        return ws if truncation is None else truncate(ws, self.w_avg.value, truncation)

    def synthesize(self, ws: jax.Array, *, train: bool = False, noise: str | Sequence[jax.Array] | None = None) -> jax.Array:
        """Maps styles to images.

        Args:
            ws: `[B, num_ws, w_dim]`.
            train: decides on the noise where `noise` does not.
            noise: `"random"` (in training), `"const"` (otherwise) or `"none"`; or the noise of each convolution, from the
                coarsest on, `[B, H, W, 1]`.

        Returns:
            `[B, image_size, image_size, channels]`.

        Raises:
            ValueError: when the ws are of another shape, or the noise is none of these.
        """
        if ws.shape[1:] != (self.num_ws, self.w_dim):
            raise FieldError("ws", f"shape {ws.shape}", f"it must be [B, {self.num_ws}, {self.w_dim}]")
        fields = self._noise(noise, train, ws.shape[0])
        x, image, first = None, jnp.zeros((), ws.dtype), 0
        for block in self.block.values():
            noises = fields[first:]
            run = recomputed(self.remat, lambda block, *inputs, noises=noises: block(*inputs, noises))
            x, image = run(block, x, image, ws[:, first:])
            first += 2 if first else 1  # a block's image layer shares its w with the convolution after
        return image

    def _mixed(self, ws: jax.Array, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        """Style mixing: the layers from a random one on get the w of a second latent; one cut for the whole batch."""
        z_key, cut_key, mix_key = jax.random.split(self.make_rng("noise"), 3)
        other = self.mapping(jax.random.normal(z_key, z.shape, z.dtype), labels, z.dtype)
        cut = jax.random.randint(cut_key, (), 1, self.num_ws)
        cut = jnp.where(jax.random.bernoulli(mix_key, self.style_mixing), cut, self.num_ws)
        return jnp.where((jnp.arange(self.num_ws) < cut)[None, :, None], ws, other[:, None, :])

    def _noise(self, noise: str | Sequence[jax.Array] | None, train: bool, count: int) -> Sequence[Noise]:
        sides = [side for side in resolutions(self) for _ in range(1 if side == 4 else 2)]
        if noise is None:
            noise = "random" if train else "const"
        if isinstance(noise, str):
            if noise not in ("random", "const", "none"):
                raise not_one_of("noise", noise, ("random", "const", "none"))
            return [noise] * len(sides)
        shapes = [(count, side, side, 1) for side in sides]
        if [field.shape for field in noise] != shapes:
            raise FieldError("noise", f"shapes {[field.shape for field in noise]}", f"they must be {shapes}")
        return noise


class Discriminator(nn.Module):
    """D: images `[B, image_size, image_size, channels]` to logits `[B]`, each of which depends on the whole group in its batch.

    Conditional when `classes > 0`, by projection: `logit = phi(x) . v_y / sqrt(F)` with v_y a mapping of the label.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, section 4.1; Karras et al. 2020, Training
        generative adversarial networks with limited data; Miyato and Koyama 2018, cGANs with projection discriminator.
    """

    image_size: int = 32  # 8, 16, 32 and so on
    channels: int = 3
    classes: int = 0
    mapping_layers: int = 8  # of the label
    channel_base: int = 16384  # features at a side: channel_base // side, at most channel_max
    channel_max: int = 512
    architecture: str = "resnet"  # or skip, orig
    mbstd_group: int | None = 4  # samples whose deviation is measured together; None: the batch
    mbstd_features: int = 1  # channels that hold it; 0 for none
    conv_clamp: float | None = None  # bound on the values after each layer
    bfloat16_levels: int = 0  # how many of the highest resolutions are computed in bfloat16
    remat: bool = False  # keep a resolution's input only, and compute the rest again for the gradients

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        check_counts(self, {"mbstd_group": 1, "mbstd_features": 0}, optional={"mbstd_group": "the whole batch"})
        if self.mbstd_features and channels_at(self, 4) % self.mbstd_features:
            raise FieldError(
                "mbstd_features", self.mbstd_features, f"it must divide the {channels_at(self, 4)} channels at 4x4"
            )

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        del train  # the same function at all times
        image, features, dtype = x, jnp.zeros((), x.dtype), x.dtype
        for i, side in enumerate(reversed(resolutions(self)[1:])):
            widths = (channels_at(self, side), channels_at(self, side // 2))
            of = (*widths, self.architecture, i == 0, self.conv_clamp, i < self.bfloat16_levels)
            run = recomputed(self.remat, lambda block, *inputs: block(*inputs))
            features, image = run(DiscriminatorBlock(*of, name=f"block_{side}"), features, image)
        width = channels_at(self, 4)
        outputs = width if self.classes else 1
        end = Epilogue(outputs, self.architecture, self.mbstd_group, self.mbstd_features, self.conv_clamp, name="block_4")
        x = end(features.astype(dtype), image)
        if not self.classes:
            return x[:, 0]
        of_class = Mapping(width, self.mapping_layers, self.classes, name="mapping")(None, labels, dtype)
        return (x * of_class).sum(axis=-1) / math.sqrt(width)


def truncate(ws: jax.Array, w_avg: jax.Array | None, psi: float | jax.Array, cutoff: int | None = None) -> jax.Array:
    """The truncation trick in w: `w_avg + psi (w - w_avg)`; towards the average image as psi goes to 0.

    Args:
        ws: `[B, num_ws, w_dim]`, what `Generator.map` returns.
        w_avg: `[w_dim]`, what training kept in the collection `averages`.
        psi: 1 for no truncation.
        cutoff: only the first so many ws, those of the coarse layers; None for all.

    Returns:
        `[B, num_ws, w_dim]`.

    Raises:
        ValueError: when there is no average, psi is not finite, or the cutoff is no number of ws.

    References:
        Karras et al. 2019, A style-based generator architecture for GANs, appendix B.
    """
    if w_avg is None:
        raise FieldError("w_avg", "None", "truncation needs the average of w that training keeps")
    if not isinstance(psi, jax.Array) and not math.isfinite(psi):
        raise FieldError("psi", psi, "it must be finite; 1 for no truncation")
    if cutoff is not None and not 0 <= cutoff <= ws.shape[1]:
        raise FieldError("cutoff", cutoff, f"it must be from 0 to {ws.shape[1]}, the number of ws")
    centre = w_avg.reshape(1, 1, -1)
    truncated = centre + psi * (ws - centre)
    return truncated if cutoff is None else jnp.concatenate([truncated[:, :cutoff], ws[:, cutoff:]], axis=1)


def resolutions(module: Generator | Discriminator) -> list[int]:
    return [2**i for i in range(2, module.image_size.bit_length())]


def channels_at(module: Generator | Discriminator, side: int) -> int:
    return min(module.channel_base // side, module.channel_max)


def _check(module: Generator | Discriminator) -> None:
    check_flags(module)
    size = module.image_size
    if not is_whole(size):
        raise FieldError("image_size", shown(size), "it must be a whole number")
    if size < 8 or size & (size - 1):
        raise FieldError("image_size", size, f"stylegan2 makes images of side {sides.near(int(size), least=8)}")
    least = {
        "image_size": 8,
        "channels": 1,
        "classes": 0,
        "mapping_layers": 1,
        "channel_base": 1,
        "channel_max": 1,
        "bfloat16_levels": 0,
    }
    check_counts(module, least)
    check_word(module, "architecture", ARCHITECTURES)
    if module.channel_base < size:
        raise FieldError("channel_base", module.channel_base, f"it must be at least image_size, {size}")
    check_numbers(module, {"conv_clamp": (0.0, math.inf)}, optional={"conv_clamp": "no bound"})
    most = len(resolutions(module)) - 1
    if not 0 <= module.bfloat16_levels <= most:
        raise FieldError("bfloat16_levels", module.bfloat16_levels, f"it must be from 0 to {most}, the sides above 4")
