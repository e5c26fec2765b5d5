"""The operations on colours, frequencies and a box."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.ada.operations import COLORS
from jaxgan.core.types import Images


def recoloured(images: Images, parameters: dict[str, jax.Array]) -> Images:
    """Changes the colours of each image by one affine map, composed of the operations in order.

    Args:
        images: `[B, H, W, C]`, C 1 or 3; hue and saturation leave grey images as they are.
        parameters: values of the operations of `COLORS`, `[B]`; an operation left out changes nothing.

    Returns:
        `[B, H, W, C]`.
    """
    batch, dtype = images.shape[0], images.dtype
    grey = jnp.full((1, 3, 3), 1 / 3, dtype)  # projects onto the axis of greys, along which luma changes
    rest = jnp.eye(3, dtype=dtype)[None] - grey
    turn = jnp.asarray([[[0, -1, 1], [1, 0, -1], [-1, 1, 0]]], dtype) / math.sqrt(3)  # vector product with that axis
    each = {name: value[:, None, None] for name, value in parameters.items() if name in COLORS}

    color = jnp.broadcast_to(jnp.eye(3, 4, dtype=dtype)[None], (batch, 3, 4))
    if "brightness" in each:
        color = color.at[:, :, 3:].add(each["brightness"])
    if "contrast" in each:
        color = color * each["contrast"]
    if "lumaflip" in each:
        color = (rest + grey * (1 - 2 * each["lumaflip"])) @ color
    if "hue" in each and images.shape[3] == 3:
        color = (grey + rest * jnp.cos(each["hue"]) + turn * jnp.sin(each["hue"])) @ color
    if "saturation" in each and images.shape[3] == 3:
        color = (grey + rest * each["saturation"]) @ color
    if images.shape[3] == 1:
        color = color.mean(axis=1, keepdims=True)
        color = jnp.concatenate([color[..., :3].sum(axis=2, keepdims=True), color[..., 3:]], axis=2)
    shift = color[:, None, None, :, -1]
    return jnp.einsum("bhwi,boi->bhwo", images, color[..., :-1]) + shift


# A half-band filter, the autocorrelation of the wavelet sym2: it and what it leaves add up to 1.
_HALF = np.array([-1, 0, 9, 16, 9, 0, -1]) / 32
_POWER = np.array([10, 1, 1, 1]) / 13  # of natural images, which fall off as one over the frequency, expected in the bands


def _bands() -> np.ndarray:
    """Filters of four octaves, lowest first, that add up to 1: `[4, 43]`."""

    def spread(factor: int) -> np.ndarray:
        taps = np.zeros(factor * (len(_HALF) - 1) + 1)
        taps[::factor] = _HALF
        return taps

    bands: list[np.ndarray] = []
    passed = np.ones(1)
    for factor in (1, 2, 4):
        half = spread(factor)
        other = -half
        other[len(half) // 2] += 1
        bands.insert(0, np.convolve(passed, other))
        passed = np.convolve(passed, half)
    bands.insert(0, passed)
    return np.stack([np.pad(band, (len(passed) - len(band)) // 2) for band in bands])


def filtered(images: Images, amplitudes: jax.Array) -> Images:
    """Amplifies four bands of frequencies, one after the other, along both axes; the expected power is kept.

    Args:
        images: `[B, H, W, C]`.
        amplitudes: of the bands, lowest first, `[B, 4]`, above 0.

    Returns:
        `[B, H, W, C]`.
    """
    power = jnp.asarray(_POWER, images.dtype)[None]
    gains = jnp.ones_like(amplitudes)
    for band in range(4):
        gain = jnp.ones_like(amplitudes).at[:, band].set(amplitudes[:, band])
        gains = gains * gain / jnp.sqrt((power * gain**2).sum(axis=1, keepdims=True))

    def along(size: int) -> jax.Array:
        """The filter of each image as a matrix, a line's reflections folded in."""
        bands = _bands()
        reach = bands.shape[1] // 2
        reflected = np.pad(np.eye(size), ((reach, reach), (0, 0)), mode="reflect")
        matrices = np.stack([sum(tap * reflected[k : k + size] for k, tap in enumerate(band)) for band in bands])
        return jnp.einsum("bf,fij->bij", gains, jnp.asarray(matrices, images.dtype))

    x = jnp.einsum("bxj,bijc->bixc", along(images.shape[2]), images)
    return jnp.einsum("byi,bixc->byxc", along(images.shape[1]), x)


def in_box(centre: jax.Array, images: Images) -> jax.Array:
    """A mask `[B, H, W, 1]` of boxes of half of each side about centres `[B, 2]`, (x, y) in sides of the image."""
    _, height, width, _ = images.shape
    x = (jnp.arange(width, dtype=centre.dtype) + 0.5) / width
    y = (jnp.arange(height, dtype=centre.dtype) + 0.5) / height
    columns = jnp.abs(x[None, :] - centre[:, :1]) < 0.25
    rows = jnp.abs(y[None, :] - centre[:, 1:]) < 0.25
    return rows[:, :, None, None] & columns[:, None, :, None]
