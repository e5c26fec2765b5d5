"""Operations of StyleGAN2, functions without parameters: filtered and modulated convolutions, activation, deviation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.core.resample import downsample, low_pass, upfirdn, upsample
from jaxgan.nets import layers
from jaxgan.nets.convolutions import conv, conv_transpose
from jaxgan.system.messages import FieldError

LOW_PASS = low_pass((1, 3, 3, 1))
SQRT_2 = math.sqrt(2.0)  # keeps the variance of a signal across a leaky ReLU


def resampled_conv(
    x: jax.Array, kernel: jax.Array, *, up: bool = False, down: bool = False, taps: np.ndarray = LOW_PASS
) -> jax.Array:
    """Convolution at the finer of two resolutions, with the low-pass filter that going from one to the other needs.

    As it is or downwards the kernel is cross-correlated, upwards convolved (that is, spatially flipped), which is what a
    transposed convolution does. Padding is added once, at the beginning: what a convolution sees beyond the border of a
    filtered image is the filter's tail, not zeros.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[K, K, I, O]`, K odd.
        up: double the sides.
        down: halve them.
        taps: `[F]` or `[FH, FW]`, the filter, of sum 1.

    Returns:
        `[B, H, W, O]`, or with both sides doubled or halved.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, appendix B; Zhang 2019, Making
        convolutional networks shift-invariant again.
    """
    size = kernel.shape[0]
    half = size // 2
    if not up and not down:
        return conv(x, kernel, padding=half)
    if size == 1:  # mixes channels only, so it commutes with the filter: at the coarse resolution, four times cheaper
        return upsample(conv(x, kernel), taps) if up else conv(downsample(x, taps), kernel)
    height, width = taps.shape[0], taps.shape[-1]
    if down:
        above, below, left, right = ((n - i) // 2 + half for n in (height, width) for i in (1, 2))
        return conv(upfirdn(x, taps, padding=(left, right, above, below)), kernel, stride=2)
    # Filter and convolution commute as well. The transposed convolution reaches size - 1 pixels beyond the zero-inserted
    # image, of which the padding below keeps what padding at the beginning would have let through.
    above, left = ((n + 1) // 2 + half + 1 - size for n in (height, width))
    below, right = (n - (n + 1) // 2 - half for n in (height, width))
    x = conv_transpose(x, kernel, stride=2, padding=0)
    return upfirdn(x, taps, padding=(left, right, above, below), gain=4.0)


def modulated_conv(
    x: jax.Array, kernel: jax.Array, styles: jax.Array, *, demodulate: bool = True, up: bool = False
) -> jax.Array:
    """Convolution with weights scaled by a style for each input channel, and back to unit norm for each output channel.

    `w' = s_i w`, `w'' = w' / sqrt(sum_{i,k} w'^2 + 1e-8)`; done by scaling the input before and the output after one
    convolution for the whole batch, which is the same.

    Args:
        x: `[B, H, W, I]`.
        kernel: `[K, K, I, O]`.
        styles: `[B, I]`.
        demodulate: whether outputs are brought back to unit norm.
        up: double the sides, as `resampled_conv` does.

    Returns:
        `[B, H', W', O]` in x's dtype.

    References:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, equations 1 to 3.
    """
    y = resampled_conv(_scaled_channels(x, styles), kernel.astype(x.dtype), up=up)
    if not demodulate:
        return y
    factor = lax.rsqrt(jnp.square(styles) @ jnp.square(kernel).sum((0, 1)) + 1e-8)
    return _scaled_channels(y, factor)


def activated(
    x: jax.Array, bias: jax.Array | None, *, linear: bool = False, gain: float | None = None, clamp: float | None = None
) -> jax.Array:
    """`clip(gain act(x + bias), -clamp, clamp)`, act being leaky ReLU of slope 0.2 or the identity.

    Args:
        x: `[B, ..., C]`.
        bias: `[C]`.
        linear: no activation.
        gain: by default sqrt 2, or 1 when linear.
        clamp: None for none.

    Returns:
        The shape and dtype of x.
    """
    if bias is not None:
        x = layers.in_full(jnp.add, x, bias.reshape((1,) * (x.ndim - 1) + (-1,)).astype(x.dtype))
    x = x if linear else layers.leaky_relu(x)
    gain = (1.0 if linear else SQRT_2) if gain is None else gain
    x = x if gain == 1.0 else x * gain
    return x if clamp is None else jnp.clip(x, -clamp, clamp)


def minibatch_deviation(x: jax.Array, group: int | None = 4, features: int = 1) -> jax.Array:
    """Appends how much the samples of a group differ: the deviation over the group, averaged over pixels and channels.

    Sample n of N is a member of group `n mod (N / G)`, so that a group's members lie apart in the batch.

    Args:
        x: `[N, H, W, C]`.
        group: G, the size of a group, at most N; None for the whole batch.
        features: F, channels appended; each is of C / F channels of x.

    Returns:
        `[N, H, W, C + F]`.

    Raises:
        ValueError: when the group does not divide the batch, or F the channels.

    References:
        Karras et al. 2018, Progressive growing of GANs, section 3.
    """
    count, height, width, channels = x.shape
    size = count if group is None else min(group, count)
    if count % size:
        raise FieldError("mbstd_group", size, f"it must divide the batch of {count}")
    if channels % features:
        raise FieldError("mbstd_features", features, f"it must divide the {channels} channels at 4x4")
    groups = x.reshape(size, count // size, height, width, features, channels // features)
    deviation = jnp.sqrt(groups.var(axis=0) + 1e-8).mean(axis=(1, 2, 4))
    appended = jnp.broadcast_to(jnp.tile(deviation, (size, 1))[:, None, None, :], (count, height, width, features))
    return jnp.concatenate([x, appended], axis=-1)


def normalised(x: jax.Array) -> jax.Array:
    """Divides each vector by the root mean square of its entries, `x / sqrt(mean(x^2) + 1e-8)`, `[..., D]`."""
    return x * lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-8)


def _scaled_channels(x: jax.Array, factors: jax.Array) -> jax.Array:
    return layers.in_full(jnp.multiply, x, factors[:, None, None, :].astype(x.dtype))
