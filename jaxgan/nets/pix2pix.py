"""Image to image: G is a U-Net of a picture and z, D judges patches of a picture beside its condition."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.nets.checks import check_counts
from jaxgan.nets.convolutions import full_precision
from jaxgan.nets.layers import Conv, Dense, downsample_mean, leaky_relu, upsample_bilinear, variance_scaled


class Generator(nn.Module):
    """G of pix2pix: convolutions down to a small map, where z is added, and up again with skip connections from the way down.

    References:
        Isola et al. 2017, Image-to-image translation with conditional adversarial networks, section 3.2.1; z here is an
        input, where the paper has dropout.
    """

    channels: int = 1
    width: int = 32  # channels of the first map, doubled with each halving of the sides
    levels: int = 2  # halvings

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, {"channels": 1, "width": 1, "levels": (0, 16)})

    @nn.compact
    def __call__(self, z: jax.Array, condition: jax.Array) -> jax.Array:
        """Maps latents `[B, D]` and pictures `[B, H, W, C']` to pictures `[B, H, W, C]` in [-1, 1]."""
        x, across = condition.astype(z.dtype), []
        for i in range(self.levels):
            across.append(_activated(Conv(self.width * 2**i, 3, 1, 1, name=f"down_{i}"), x))
            x = downsample_mean(across[-1])
        height, width = x.shape[1:3]
        wide = self.width * 2**self.levels
        drawn = Dense(height * width * wide, kernel_init=variance_scaled(1.0), name="latent")(z)
        x = _activated(Conv(wide, 3, 1, 1, name="seen"), x) + drawn.reshape(-1, height, width, wide)
        x = _activated(Conv(wide, 3, 1, 1, name="middle"), x)
        for i in reversed(range(self.levels)):
            x = jnp.concatenate([upsample_bilinear(x), across[i]], axis=-1)
            x = _activated(Conv(self.width * 2**i, 3, 1, 1, name=f"up_{i}"), x)
        out = Conv(self.channels, 3, 1, 1, kernel_init=variance_scaled(1.0), name="out")(full_precision(x))
        return jnp.tanh(out)


class Discriminator(nn.Module):
    """D of pix2pix: a logit for each patch of a picture, given the picture that it was made for.

    References:
        Isola et al. 2017, section 3.2.2.
    """

    width: int = 32
    levels: int = 1  # halvings: with more, patches are larger and fewer

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, {"width": 1, "levels": (0, 16)})

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        """Maps pictures `[B, H, W, C]` and `[B, H, W, C']` to logits `[B, H / 2^levels, W / 2^levels]`."""
        x = jnp.concatenate([x, condition.astype(x.dtype)], axis=-1)
        x = _activated(Conv(self.width, 3, 1, 1, name="first"), x)
        for i in range(self.levels):
            x = _activated(Conv(self.width * 2 ** (i + 1), 3, 1, 1, name=f"down_{i}"), downsample_mean(x))
        x = full_precision(x)
        self.sow("intermediates", "features", x)
        last: dict[str, Any] = {"kernel_init": variance_scaled(1.0), "name": "logit"}
        return Conv(1, 1, 1, 0, **last)(x)[..., 0]


def _activated(layer: Conv, x: jax.Array) -> jax.Array:
    return leaky_relu(layer(x))
