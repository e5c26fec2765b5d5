"""Differentiable augmentations: D sees real and generated images through them alike, and G's gradient passes through.

With few images D learns them by heart. Augmenting the real ones only would teach G to make augmented images; augmenting
what D sees, real and generated, does not, as long as the gradient reaches G (Zhao et al. 2020, equations 4 and 5).

Each operation is a pure function of images and of draws, one for each image, and is linear in the images but for a shift:
twice differentiable, as a gradient penalty needs it. `diff_augment` draws from a key and makes an `Augment` of them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.core.types import Augment, Images, Key
from jaxgan.system.messages import FieldError, not_one_of, shown


def brightness(images: Images, u: jax.Array) -> Images:
    """Shifts all values of an image: `x + u - 1/2`.

    Args:
        images: `[B, H, W, C]`.
        u: one draw for each image, `[B]` in [0, 1); 1/2 changes nothing.

    Returns:
        `[B, H, W, C]`, not clipped.
    """
    return images + (_per_image(u, images) - 0.5)


def saturation(images: Images, u: jax.Array) -> Images:
    """Moves each pixel from or towards its grey: `m + 2u (x - m)`, m the mean over channels.

    Args:
        images: `[B, H, W, C]`; with one channel nothing changes.
        u: one draw for each image, `[B]` in [0, 1); 1/2 changes nothing, 0 leaves grey.

    Returns:
        `[B, H, W, C]`, not clipped.
    """
    grey = images.mean(axis=3, keepdims=True)
    return (images - grey) * (2.0 * _per_image(u, images)) + grey


def contrast(images: Images, u: jax.Array) -> Images:
    """Moves each value from or towards its image's mean: `m + (u + 1/2) (x - m)`, m the mean over pixels and channels.

    Args:
        images: `[B, H, W, C]`.
        u: one draw for each image, `[B]` in [0, 1); 1/2 changes nothing.

    Returns:
        `[B, H, W, C]`, not clipped.
    """
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return (images - mean) * (_per_image(u, images) + 0.5) + mean


def translation(images: Images, rows: jax.Array, columns: jax.Array) -> Images:
    """Moves an image up and left, zeros coming in from outside: `y[r, c] = x[r + rows, c + columns]`.

    Args:
        images: `[B, H, W, C]`.
        rows: pixels for each image, `[B]` int32 from -S to S, `S = shift_limit(H)`.
        columns: likewise, by `shift_limit(W)`.

    Returns:
        `[B, H, W, C]`.
    """
    _, height, width, _ = images.shape
    s, t = shift_limit(height), shift_limit(width)
    padded = jnp.pad(images, ((0, 0), (s, s), (t, t), (0, 0)))

    def window(image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
        return lax.dynamic_slice(image, (row, column, jnp.zeros_like(row)), images.shape[1:])

    return jax.vmap(window)(padded, rows + s, columns + t)


def cutout(images: Images, rows: jax.Array, columns: jax.Array) -> Images:
    """Zeroes a box of half the image's sides about a point; it may stick out.

    Of the box's rows, `rows - h // 2 + [0, h)` with h half the height, those outside are moved onto the border, so that a
    box sticking out always holds it; columns likewise.

    Args:
        images: `[B, H, W, C]`.
        rows: row of the box's centre for each image, `[B]` int32 from 0 to H, with an odd h to H - 1.
        columns: its column, likewise.

    Returns:
        `[B, H, W, C]`.
    """
    _, height, width, _ = images.shape
    inside = _box(rows, height)[:, :, None, None] & _box(columns, width)[:, None, :, None]
    return jnp.where(inside, 0.0, images)


def diff_augment(policy: str = "color,translation,cutout") -> Augment:
    """DiffAugment: what D sees is recoloured, moved and partly hidden, each image by draws of its own.

    `color` is brightness, saturation and contrast, in this order; `translation` moves by up to an eighth of each side;
    `cutout` hides a box of half of each. All values are drawn uniformly.

    Args:
        policy: one or more of color, translation, cutout, separated by commas, applied in the order given; each once.

    Returns:
        `(key, images [B, H, W, C], strength) -> images`. The strength, in [0, 1] and possibly traced, is the probability
        with which each of the policy's parts acts on each image, independently: at 0 the images come back as they are,
        bit for bit, at 1 all are augmented, as in the paper. Raises ValueError for what is no batch of images in floating
        point, and for a strength out of range where it is a Python number.

    Raises:
        ValueError: when the policy is empty, names something unknown, or something twice.

    References:
        Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training, section 3.2 and appendix A;
        the probability is that of Karras et al. 2020 (StyleGAN2-ADA), section 2.2.
    """
    names = [name.strip() for name in policy.split(",")]
    for name in names:
        if name not in _PARTS:
            raise not_one_of("policy", name, _PARTS)
    if len(set(names)) < len(names):
        raise FieldError("policy", shown(policy), "each part may be named once")

    def augment(key: Key, images: Images, strength: jax.Array | float) -> Images:
        if images.ndim != 4:
            raise FieldError("images", f"shape {images.shape}", "augmentations need [B, H, W, C]; points cannot be augmented")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise FieldError("images", images.dtype, "augmentations need floating point in [-1, 1]")
        if isinstance(strength, int | float) and not 0.0 <= strength <= 1.0:
            raise FieldError("strength", shown(strength), "it is a probability and must be in [0, 1]")
        for i, name in enumerate(names):
            draw, gate = jax.random.split(jax.random.fold_in(key, i))
            # Drawn from [0, 1): never below 0, always below 1. A draw that changes nothing would do so only up to rounding.
            acts = jax.random.uniform(gate, images.shape[:1]) < strength
            images = jnp.where(acts[:, None, None, None], _PARTS[name](draw, images), images)
        return images

    return augment


def shift_limit(size: int) -> int:
    """The most that `translation` moves along an axis of this many pixels: an eighth, rounded half up."""
    return int(size * 0.125 + 0.5)


def _color(key: Key, images: Images) -> Images:
    u = jax.random.uniform(key, (3, images.shape[0]))
    return contrast(saturation(brightness(images, u[0]), u[1]), u[2])


def _translation(key: Key, images: Images) -> Images:
    count, height, width, _ = images.shape
    keys, s, t = jax.random.split(key), shift_limit(height), shift_limit(width)
    rows = jax.random.randint(keys[0], (count,), -s, s + 1)
    return translation(images, rows, jax.random.randint(keys[1], (count,), -t, t + 1))


def _cutout(key: Key, images: Images) -> Images:
    count, height, width, _ = images.shape
    keys = jax.random.split(key)
    # An even box is centred between pixels, so it has one place more.
    rows = jax.random.randint(keys[0], (count,), 0, height + 1 - _box_size(height) % 2)
    return cutout(images, rows, jax.random.randint(keys[1], (count,), 0, width + 1 - _box_size(width) % 2))


_PARTS: dict[str, Callable[[Key, Images], Images]] = {"color": _color, "translation": _translation, "cutout": _cutout}


def _box_size(size: int) -> int:
    return int(size * 0.5 + 0.5)


def _box(centre: jax.Array, size: int) -> jax.Array:
    """A mask of the places along an axis that lie in the box: `[B]` -> `[B, size]` bool."""
    box = _box_size(size)
    first = (centre - box // 2)[:, None]
    place = jnp.arange(size)[None, :]
    return (jnp.clip(first, 0, size - 1) <= place) & (place <= jnp.clip(first + box - 1, 0, size - 1))


def _per_image(u: jax.Array, images: Images) -> jax.Array:
    return u.astype(images.dtype)[:, None, None, None]
