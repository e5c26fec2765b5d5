"""Checks that shapes fit, with one-line messages, when a step is traced; the compiled program holds none of them."""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxgan.core import types as t
from jaxgan.system.messages import FieldError, kind_of, shown


@contextlib.contextmanager
def told(player: str, what: str, x: jax.Array) -> Iterator[None]:
    """Names the player and the shape that it was given, where a network raises because of shapes or types.

    Args:
        player: `generator` or `discriminator`.
        what: the input in words, for the message.
        x: the input itself.

    Raises:
        FieldError: in place of the network's own error, which is kept as the cause.
    """
    try:
        yield
    except FieldError:
        raise
    except Exception as error:
        # Flax has errors of its own, and this folder does not import flax.
        if not isinstance(error, (TypeError, ValueError)) and not type(error).__module__.startswith("flax."):
            raise
        reason = next(iter(str(error).splitlines()), "")
        raise FieldError(player, f"given {what} {_shape(x)}, it raised {type(error).__name__}", reason, link=": ") from error


def check_made(player: str, made: Any, by: str = "apply") -> tuple[Any, t.PyTree]:
    """Returns the pair that a network's `apply` or `init` made: output or parameters, and statistics.

    Raises:
        FieldError: when it is no such pair.
    """
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        first = "output" if by == "apply" else "parameters"
        raise FieldError(player, f"its {by} returns {kind_of(made)}", f"it must return ({first}, statistics)")
    return made[0], made[1]


def check_values(name: str, values: Any) -> jax.Array:
    """Returns the values of a loss or a penalty, of which the mean is taken.

    Raises:
        FieldError: when they are no array of real numbers.
    """
    if not hasattr(values, "dtype") or not jnp.issubdtype(values.dtype, jnp.floating):
        given = f"{values.dtype} {list(values.shape)}" if hasattr(values, "dtype") else kind_of(values)
        raise FieldError(name, f"it returns {given}", "it must return one real number for each sample, [B]")
    return cast(jax.Array, values)


def check_augmented(made: Any, x: jax.Array) -> jax.Array:
    """Returns augmented images, which must have the shape of the images before.

    Raises:
        FieldError: naming both shapes.
    """
    if getattr(made, "shape", None) != x.shape:
        given = _shape(made) if getattr(made, "shape", ()) else kind_of(made)
        raise FieldError("augment", f"it returns {given} for images {_shape(x)}", "it must keep their shape")
    return cast(jax.Array, made)


def check_images(fake: Any, real: jax.Array) -> None:
    """Refuses generated images of another shape than the real ones.

    Raises:
        FieldError: naming both.
    """
    if not hasattr(fake, "dtype"):
        raise FieldError("generator", f"it gives {kind_of(fake)}", f"the batch holds {_shape(real)}")
    if fake.shape[1:] != real.shape[1:]:
        raise FieldError("generator", f"it gives {_shape(fake)}", f"the batch holds {_shape(real)}")


def check_logits(logits: Any, images: jax.Array) -> None:
    """Refuses logits without an axis of samples: one, or those of its patches, for each image, or each pack of several.

    Args:
        logits: an array, or a tuple of arrays.
        images: `[B, ...]`.

    Raises:
        FieldError: naming both shapes.
    """
    allowed = "it must return one logit for each sample, [B], those of its patches, [B, ...], or a tuple of these"
    scales = logits if isinstance(logits, (tuple, list)) else (logits,)
    shapes = [getattr(each, "shape", None) for each in scales]
    counts = {shape[0] if shape else 0 for shape in shapes}
    if len(counts) != 1 or not all(counts) or images.shape[0] % counts.pop():
        given = ", ".join("no array" if shape is None else str(list(shape)) for shape in shapes) or "nothing"
        raise FieldError("discriminator", f"it gives {given} for images {_shape(images)}", allowed)
    for each in scales:
        if not jnp.issubdtype(each.dtype, jnp.floating) or not each.size:
            raise FieldError("discriminator", f"it gives {each.dtype} {list(each.shape)}", "logits must be floats, and some")


def check_term(name: str, values: Any, fake: Any) -> None:
    """Refuses the values of a term that are not one number for each image.

    Raises:
        FieldError: naming the term and the shape.
    """
    if getattr(values, "shape", None) != fake.shape[:1] or not jnp.issubdtype(values.dtype, jnp.floating):
        given = f"{values.dtype} {list(values.shape)}" if hasattr(values, "shape") else kind_of(values)
        allowed = f"it must return one real number for each sample, {list(fake.shape[:1])}"
        raise FieldError(f"terms.{name}", f"it returns {given}", allowed)


def check_latents(z: Any, latent_dim: int) -> None:
    """Refuses latents of another length than the generator's.

    Raises:
        FieldError: naming both.
    """
    if getattr(z, "ndim", None) != 2 or z.shape[1] != latent_dim:
        given = f"an array {list(z.shape)}" if hasattr(z, "shape") else kind_of(z)
        raise FieldError("z", given, f"it must be latents [N, {latent_dim}]")


def check_key(key: t.Key) -> None:
    """Refuses anything but a key of random numbers.

    Raises:
        FieldError: saying how to make a key.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
        raise FieldError("key", shown(key), "it must be a key of random numbers: jax.random.key(0)")


def check_state(state: Any) -> None:
    """Refuses what is no state of training.

    Raises:
        FieldError: with what makes one.
    """
    if not isinstance(state, t.GANState):
        raise FieldError("state", kind_of(state), "it must be a GANState: gan.init(key), or what a step returned")


def weights_of(weights: Any) -> t.Weights:
    """Returns the weights to draw from: those given, or the averaged generator's of a state.

    Raises:
        FieldError: when they are anything else.
    """
    if isinstance(weights, t.GANState):
        return weights.ema
    if isinstance(weights, t.Player) or not isinstance(weights, tuple) or len(weights) != 2:
        allowed = "they must be state.ema, or jaxgan.Weights(player.params, player.stats)"
        raise FieldError("weights", kind_of(weights), allowed)
    return t.Weights(*weights)


def _shape(x: jax.Array) -> str:
    """Returns the shape of a batch of any size: `[B, 28, 28, 1]`."""
    return f"[{', '.join(['B', *map(str, x.shape[1:])])}]"
