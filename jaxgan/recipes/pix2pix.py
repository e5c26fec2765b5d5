"""The networks of pix2pix as parts of a recipe: pictures made for pictures."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from jaxgan.recipes.fields import Within
from jaxgan.recipes.networks import Latent, LatentDim, Width
from jaxgan.system.messages import FieldError

Halvings = Annotated[int, Within(0, 8)]


@dataclass(frozen=True)
class Pix2Pix:
    """G that makes a picture for a picture: a U-Net with z in its middle (Isola et al. 2017)."""

    width: Width = 32
    """Channels of the first map, doubled with each halving of the sides."""
    levels: Halvings = 2
    """Halvings of the sides."""
    latent_dim: LatentDim = 16
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""

    takes_condition: ClassVar[bool] = True

    def build(self, shape: Any) -> Any:
        """Returns the generator for pictures with a condition that is a picture as large."""
        import jax.numpy as jnp

        from jaxgan.nets import from_linen, pix2pix

        module = pix2pix.Generator(shape.sample[-1], self.width, self.levels)
        return from_linen(module, jnp.zeros((1, self.latent_dim)), _example(shape, self.levels))


@dataclass(frozen=True)
class Pix2PixDiscriminator:
    """D that judges patches of a picture beside the one that it was made for (Isola et al. 2017)."""

    width: Width = 32
    """Channels of the first map, doubled with each halving of the sides."""
    levels: Halvings = 1
    """Halvings of the sides; a patch grows with each."""

    takes_condition: ClassVar[bool] = True

    def build(self, shape: Any) -> Any:
        """Returns the discriminator for pictures with a condition that is a picture as large."""
        import jax.numpy as jnp

        from jaxgan.nets import from_linen, pix2pix

        example = _example(shape, self.levels)
        return from_linen(pix2pix.Discriminator(self.width, self.levels), jnp.zeros((1, *shape.sample)), example)


def _example(shape: Any, levels: int) -> Any:
    """Returns a condition of this form.

    Raises:
        FieldError: when it is no picture as large as the samples, or these cannot be halved so often.
    """
    import jax.numpy as jnp

    sides, form = shape.sample[:-1], getattr(shape.condition, "shape", None)
    if len(sides) != 2 or form is None or len(form) != 3 or form[:-1] != sides:
        held = "no condition" if shape.condition is None else "a condition of another form"
        told = "it needs pictures, and for each one picture as large, see jaxgan/data/README.md and --data.conditional"
        raise FieldError("data", f"{held} for samples {list(shape.sample)}", told)
    if any(side % 2**levels for side in sides):
        raise FieldError("levels", levels, f"sides of {' and '.join(map(str, sides))} cannot be halved so often")
    return jnp.zeros((1, *form), shape.condition.dtype)
