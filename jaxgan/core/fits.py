"""Shapes that do not fit each other, said in one line when a step is traced; nothing of it is in the program."""

import contextlib
from collections.abc import Iterator

import jax

from jaxgan.system.messages import FieldError


@contextlib.contextmanager
def told(player: str, what: str, x: jax.Array) -> Iterator[None]:
    """Names the player and the shape that it was given, where a network raises because of shapes or types.

    Args:
        player: `generator` or `discriminator`.
        what: it is given, in words.
        x: which.

    Raises:
        FieldError: in place of the network's own error, which is its cause.
    """
    try:
        yield
    except FieldError:
        raise
    except Exception as error:
        # Flax has errors of its own; this floor does not import it.
        if not isinstance(error, (TypeError, ValueError)) and not type(error).__module__.startswith("flax."):
            raise
        reason = next(iter(str(error).splitlines()), "")
        raise FieldError(player, f"given {what} {_shape(x)}, it raised {type(error).__name__}", reason, link=": ") from error


def check_images(fake: jax.Array, real: jax.Array) -> None:
    """Refuses generated images of another shape than the real ones.

    Raises:
        FieldError: naming both.
    """
    if fake.shape[1:] != real.shape[1:]:
        raise FieldError("generator", f"it gives {_shape(fake)}", f"the batch holds {_shape(real)}")


def check_logits(logits: jax.Array, images: jax.Array) -> None:
    """Refuses logits that are not one for each image, or for each pack of several.

    Raises:
        FieldError: naming both shapes.
    """
    if logits.ndim != 1 or logits.shape[0] == 0 or images.shape[0] % logits.shape[0]:
        allowed = "it must return one logit for each sample, [B]"
        raise FieldError("discriminator", f"it gives {list(logits.shape)} for images {_shape(images)}", allowed)


def _shape(x: jax.Array) -> str:
    """Returns the shape of a batch of any size: `[B, 28, 28, 1]`."""
    return f"[{', '.join(['B', *map(str, x.shape[1:])])}]"
