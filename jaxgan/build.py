"""From a recipe to a GAN, by explicit tables: one row for each name that a recipe may say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxgan import data, latents, losses, penalties, schedules, toy
from jaxgan.augment import diff_augment
from jaxgan.gan import make_gan
from jaxgan.nets import dcgan, mlp
from jaxgan.network import from_linen, pack
from jaxgan.recipes import Optimizer, Recipe, members
from jaxgan.sweep import side_by_side
from jaxgan.types import GAN, Augment, Dataset, Key, Loss, Network, Penalty, Schedule

LOSSES: dict[str, Loss] = {
    "minimax": losses.minimax,
    "non_saturating": losses.non_saturating,
    "relativistic": losses.relativistic,
    "relativistic_average": losses.relativistic_average,
    "hinge": losses.hinge,
    "least_squares": losses.least_squares,
    "wasserstein": losses.wasserstein,
}
PENALTIES: dict[str, Penalty | None] = {
    "none": None,
    "r1": penalties.r1,
    "r2": penalties.r2,
    "r1_r2": penalties.r1_r2,
    "gradient_penalty": penalties.gradient_penalty,
    "dragan": penalties.dragan,
}
LATENTS = {"normal": latents.normal, "uniform": latents.uniform, "sphere": latents.sphere}
MIXTURES: dict[str, Callable[[], toy.Density]] = {"ring": toy.ring, "grid": toy.grid}

_UNCONDITIONAL = "it must be False, --data.no-conditional"


class Shape(NamedTuple):
    """What a network must know of the data."""

    sample: tuple[int, ...]  # (H, W, C), or (2,) for points in the plane
    classes: int  # 0 when the recipe is unconditional


def dataset(recipe: Recipe) -> Dataset:
    """The data set a recipe names, read from disk or drawn; nothing is trained or compiled.

    Raises:
        ValueError: when it does not fit the recipe.
        FileNotFoundError: when it is not there, with the command that prepares it.
    """
    wanted = recipe.data
    if wanted.name in MIXTURES:
        if wanted.conditional:
            raise ValueError(f"data.conditional: True, but {wanted.name} has no labels; {_UNCONDITIONAL}")
        return toy.dataset(MIXTURES[wanted.name](), name=wanted.name)
    try:
        found = data.load(wanted.name, split=wanted.split, image_size=wanted.image_size, channels=wanted.channels)
    except ValueError as error:
        field, _, rest = str(error).partition(": ")
        if field not in ("name", "split", "image_size", "channels"):
            raise
        known = f"{', '.join(MIXTURES)}, " if field == "name" else ""
        raise ValueError(f"data.{field}: {rest.replace('is not one of ', f'is not one of {known}', 1)}") from error
    if wanted.conditional and not found.class_names:
        raise ValueError(f"data.conditional: True, but {wanted.name} has no labels; {_UNCONDITIONAL}")
    return found


def shape_of(recipe: Recipe, found: Dataset) -> Shape:
    """What the networks of this recipe must know of its data set."""
    return Shape(found.shape, len(found.class_names) if recipe.data.conditional else 0)


def batch_rows(recipe: Recipe) -> int:
    """Real images in the batch of one step: one part for each D update, and one for G's when its loss needs it."""
    return recipe.batch_size * (recipe.disc_steps + LOSSES[recipe.loss].relativistic)


def build(recipe: Recipe, shape: Shape) -> GAN:
    """The GAN of a recipe for data of this shape; of a recipe for several, all of them by `sweep.side_by_side`.

    Args:
        recipe: a recipe that passed `recipes.check`.
        shape: of the data, from the data set or from a run.

    Returns:
        A `GAN`; its init and step take `key(recipe)`.

    Raises:
        ValueError: when a network cannot make or judge images of this shape.
    """
    every = members(recipe)
    if len(every) == 1:
        return _one(every[0], shape)
    if not recipe.penalty.gammas:
        gan = _one(every[0], shape)
        return side_by_side(lambda _: gan)
    _one(every[0], shape)  # so that what cannot be built is refused here
    return side_by_side(lambda gamma: _one(every[0], shape, gamma), jnp.array([each.penalty.gamma for each in every]))


def key(recipe: Recipe) -> Key:
    """The key of a run; of a recipe for several GANs, theirs, `[N]`."""
    keys = [jax.random.key(each.seed) for each in members(recipe)]
    return keys[0] if len(keys) == 1 else jnp.stack(keys)


def _one(recipe: Recipe, shape: Shape, gamma: jax.Array | None = None) -> GAN:
    # A weight of zero throughout is no penalty, and must not cost one.
    weighed = gamma is not None or recipe.penalty.gamma or recipe.penalty.final_gamma
    penalty = PENALTIES[recipe.penalty.name] if weighed else None
    weight: Any = gamma if gamma is not None else _towards(recipe.penalty.gamma, recipe.penalty.final_gamma, recipe)
    return make_gan(
        generator=_generator(recipe, shape),
        discriminator=discriminator(recipe, shape),
        loss=LOSSES[recipe.loss],
        penalty=penalty,
        gamma=None if penalty is None else weight,
        g_optimizer=_adam(recipe.g_optimizer, recipe),
        d_optimizer=_adam(recipe.d_optimizer, recipe),
        latent_dim=recipe.generator.latent_dim,
        latent=LATENTS[recipe.generator.latent],
        disc_steps=recipe.disc_steps,
        share_z=recipe.share_z,
        augment=_augment(recipe, shape),
        augment_strength=recipe.augment_strength,
        ema_half_life=schedules.ramp(recipe.ema_half_life, recipe.ema_rampup),
    )


def _generator(recipe: Recipe, shape: Shape) -> Network:
    fields = recipe.generator
    module: Any
    if fields.network == "mlp":
        module = mlp.Generator(
            hidden=(fields.width,) * fields.depth, output_shape=shape.sample, classes=shape.classes, norm=fields.norm
        )
    else:
        size, channels = _square(shape, "generator")
        module = dcgan.Generator(
            image_size=size, channels=channels, width=fields.width, classes=shape.classes, norm=fields.norm
        )
    return from_linen(module, jnp.zeros((1, fields.latent_dim)), jnp.zeros(1, jnp.int32))


def discriminator(recipe: Recipe, shape: Shape) -> Network:
    """D as the recipe has it, on its own: to look at what it says of samples."""
    fields = recipe.discriminator
    packed = (*shape.sample[:-1], shape.sample[-1] * fields.pack)
    module: Any
    if fields.network == "mlp":
        module = mlp.Discriminator(hidden=(fields.width,) * fields.depth, classes=shape.classes, norm=fields.norm)
    else:
        size, _ = _square(shape, "discriminator")
        module = dcgan.Discriminator(
            image_size=size, channels=packed[-1], width=fields.width, classes=shape.classes, norm=fields.norm
        )
    # Spectral normalisation keeps a statistic too, but of the weights: it couples no samples.
    network = from_linen(module, jnp.zeros((1, *packed)), jnp.zeros(1, jnp.int32), couples=fields.norm == "batch")
    return pack(network, fields.pack)


def _augment(recipe: Recipe, shape: Shape) -> Augment | None:
    if not recipe.augment:
        return None
    if len(shape.sample) != 3:
        raise ValueError(f"augment: {recipe.augment!r}, but the data are points in the plane; it is for images")
    try:
        return diff_augment(recipe.augment)
    except ValueError as error:
        raise ValueError(str(error).replace("policy:", "augment:", 1)) from error


def _square(shape: Shape, player: str) -> tuple[int, int]:
    if len(shape.sample) != 3:
        raise ValueError(f"{player}.network: dcgan, but the data are points in the plane; use mlp")
    height, width, channels = shape.sample
    if height != width:
        raise ValueError(f"{player}.network: dcgan makes square images, but the data are {height}x{width}; set data.image_size")
    return height, channels


def _adam(fields: Optimizer, recipe: Recipe) -> optax.GradientTransformation:
    return schedules.scheduled(
        optax.adam,
        learning_rate=_towards(fields.learning_rate, fields.final_learning_rate, recipe),
        b1=fields.beta1,
        b2=_towards(fields.beta2, fields.final_beta2, recipe),
    )


def _towards(start: float, end: float | None, recipe: Recipe) -> float | Schedule:
    return start if end is None else schedules.cosine(start, end, recipe.decay_images)
