"""The pipe of StyleGAN2-ADA's augmentations: random numbers are drawn, then applied."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.core.ada.colours import filtered, in_box, recoloured
from jaxgan.core.ada.geometry import moved
from jaxgan.core.ada.operations import COLORS, GEOMETRY, OPERATIONS, PIPES, Draws, Pipe, multiplier_of
from jaxgan.core.types import Augment, Images, Key
from jaxgan.system.messages import FieldError, not_one_of, shown


def ada(pipe: str | Pipe = "bgc") -> Augment:
    """The augmentation pipe of StyleGAN2-ADA, each image by draws of its own.

    Args:
        pipe: one of `PIPES`: `bgc`, the paper's choice, is blit, geom and color, and f, n and c add filter, noise and
            cutout; `r3gan` is that paper's. Or multipliers of one's own.

    Returns:
        `(key, images [B, H, W, C], strength) -> images`, not clipped. The strength, in [0, 1] and possibly traced, is the
        probability of an operation with multiplier 1: at 0 the images come back as they are, bit for bit. Raises ValueError
        for what is no batch of images in floating point, for colours of other than 1 or 3 channels, and for a strength out
        of range where it is a Python number.

    Raises:
        ValueError: when the pipe is unknown, or a multiplier negative or not finite.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data, section 2 and appendix B;
        for `r3gan` Huang et al. 2024, The GAN is dead; long live the GAN.
    """
    if isinstance(pipe, str) and pipe not in PIPES:
        raise not_one_of("pipe", pipe, PIPES)
    chosen = PIPES[pipe] if isinstance(pipe, str) else pipe
    for name, multiplier in chosen._asdict().items():
        if not 0.0 <= multiplier < math.inf:
            raise FieldError(f"pipe.{name}", shown(multiplier), "a multiplier of a probability must be finite and at least 0")

    def augment(key: Key, images: Images, strength: jax.Array | float) -> Images:
        if images.ndim != 4:
            raise FieldError("images", f"shape {images.shape}", "augmentations need [B, H, W, C]; points cannot be augmented")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise FieldError("images", images.dtype, "augmentations need floating point in [-1, 1]")
        if isinstance(strength, int | float) and not 0.0 <= strength <= 1.0:
            raise FieldError("strength", shown(strength), "it is a probability and must be in [0, 1]")
        return apply(chosen, draw(key, chosen, images.shape, _precise(images)), images, strength)

    return augment


def draw(key: Key, pipe: Pipe, shape: tuple[int, ...], dtype: jnp.dtype | type = jnp.float32) -> Draws:
    """Draws the values and gates of a pipe's operations; those of one do not depend on the others in the pipe.

    Args:
        key: of these draws alone.
        pipe: operations with multiplier 0 are left out.
        shape: of the images, `(B, H, W, C)`.
        dtype: of the draws.

    Returns:
        Uniform and standard normal numbers.
    """
    # All that the table may need, in two calls: that is little to run, while each call is slow to compile.
    sizes = [(math.prod(operation.shape), math.prod(operation.gates)) for operation in OPERATIONS.values()]
    uniform = jax.random.uniform(jax.random.fold_in(key, 0), (shape[0], sum(map(sum, sizes))), dtype)
    normal = jax.random.normal(jax.random.fold_in(key, 1), uniform.shape, dtype)
    values, gates, start = {}, {}, 0
    for (name, operation), (numbers, more) in zip(OPERATIONS.items(), sizes, strict=True):
        middle, end = start + numbers, start + numbers + more
        if multiplier_of(pipe, name):
            source = normal if operation.normal else uniform
            values[name] = source[:, start:middle].reshape(shape[0], *operation.shape)
            gates[name] = uniform[:, middle:end].reshape(shape[0], *operation.gates)
        start = end
    if pipe.noise:
        values["noise_field"] = jax.random.normal(jax.random.fold_in(key, 2), shape, dtype)
    return Draws(values, gates)


def apply(pipe: Pipe, draws: Draws, images: Images, strength: jax.Array | float) -> Images:
    """Applies the operations drawn for each image. An image on which no operation of a kind acts passes it bit for bit.

    Args:
        pipe: operations with multiplier 0 are left out.
        draws: for a batch of this size.
        images: `[B, H, W, C]`, C 1 or 3 where colours change. Half precision is computed in float32.
        strength: in [0, 1], a scalar.

    Returns:
        `[B, H, W, C]` of the images' dtype, not clipped.

    Raises:
        ValueError: when the pipe changes colours and the images have neither 1 nor 3 channels.
    """
    dtype = _precise(images)
    parameters, acts = _parameters(pipe, draws, images, strength)

    def where_any(names: tuple[str, ...], change: Callable[[Images], Images], x: Images) -> Images:
        masks = [acts[name] for name in names if name in acts]
        if not masks:
            return x
        return jnp.where(functools.reduce(jnp.logical_or, masks)[:, None, None, None], change(x), x)

    x = images.astype(dtype)
    with jax.default_matmul_precision("highest"):  # accelerators would multiply coordinates and pixels in fewer bits
        x = where_any(GEOMETRY, lambda x: moved(x, parameters), x)
        x = where_any(COLORS, lambda x: recoloured(x, parameters), x)
        x = where_any(("imgfilter",), lambda x: filtered(x, parameters["imgfilter"]), x)
    if "noise" in parameters:
        x = x + parameters["noise"][:, None, None, None] * draws.values["noise_field"].astype(dtype)
    if "cutout" in parameters:
        x = jnp.where(in_box(parameters["cutout"], x), 0.0, x)
    return x.astype(images.dtype)


def _parameters(
    pipe: Pipe, draws: Draws, images: Images, strength: jax.Array | float
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """The parameters of each operation, `[B, ..]`, and flags of the images on which it acts, `[B]`.

    Where an operation does not act its parameter is the one that changes nothing.
    """
    channels, dtype = images.shape[3], _precise(images)
    parameters, acts = {}, {}
    for name, operation in OPERATIONS.items():
        if multiplier := multiplier_of(pipe, name):
            if name in COLORS and channels not in (1, 3):
                raise FieldError("images", f"{channels} channels", f"{name} needs 1 or 3 of them")
            chance = jnp.clip(multiplier * jnp.asarray(strength, dtype), 0.0, 1.0)
            if name in ("rotate", "rotate_after"):  # either one acts with the probability asked for
                chance = 1.0 - jnp.sqrt(1.0 - chance)
            act = draws.gates[name] < chance
            parameter = operation.parameter(draws.values[name].astype(dtype))
            acts[name] = act.reshape(images.shape[0], -1).any(axis=1)
            parameters[name] = jnp.where(act.reshape(*act.shape, *[1] * (parameter.ndim - act.ndim)), parameter, operation.rest)
    return parameters, acts


def _precise(images: Images) -> jnp.dtype:
    return jnp.promote_types(images.dtype, jnp.float32)
