"""From a recipe to a GAN, by explicit tables: one row for each name that a recipe may say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxgan import data, toy
from jaxgan.core import ada, latents, losses, penalties, schedules
from jaxgan.core.augment import diff_augment
from jaxgan.core.gan import make_gan
from jaxgan.core.sweep import side_by_side
from jaxgan.core.types import GAN, Adaptive, Augment, Dataset, Key, Loss, Network, Penalty, Schedule
from jaxgan.data.mirror import mirrored
from jaxgan.nets import dcgan, mlp, r3gan, sngan, stylegan2
from jaxgan.nets.network import at_precision, from_linen, pack
from jaxgan.recipes import Discriminator, Generator, Optimizer, Recipe, members
from jaxgan.system import devices

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
    if wanted.name == "none":
        raise ValueError("data.name: none, and a run without data can only be drawn from")
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
    return mirrored(found) if wanted.mirror else found


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
    g_network = generator(recipe, shape)
    path = penalties.path_length(g_network, weight=recipe.penalty.path_length) if recipe.penalty.path_length else None
    return make_gan(
        generator=g_network,
        discriminator=discriminator(recipe, shape),
        loss=LOSSES[recipe.loss],
        penalty=penalty,
        gamma=None if penalty is None else weight,
        penalty_interval=recipe.penalty.interval,
        g_penalty=path,
        g_penalty_interval=recipe.penalty.path_interval,
        g_optimizer=_adam(recipe.g_optimizer, recipe, 1 if path is None else recipe.penalty.path_interval),
        d_optimizer=_adam(recipe.d_optimizer, recipe, 1 if penalty is None else recipe.penalty.interval),
        latent_dim=recipe.generator.latent_dim,
        latent=LATENTS[recipe.generator.latent],
        disc_steps=recipe.disc_steps,
        share_z=recipe.share_z,
        accumulate=recipe.accumulate,
        augment=_augment(recipe, shape),
        augment_strength=_strength(recipe),
        ema_half_life=_half_life(recipe),
    )


def generator(recipe: Recipe, shape: Shape) -> Network:
    """G as the recipe has it, on its own."""
    module = g_module(recipe, shape)
    # Nobody asks this of a G; given here, from_linen need not trace its init to find out.
    network = from_linen(module, jnp.zeros((1, recipe.generator.latent_dim)), jnp.zeros(1, jnp.int32), depends_on_batch=True)
    return at_precision(network, _dtype(recipe, shape, recipe.generator))


def discriminator(recipe: Recipe, shape: Shape) -> Network:
    """D as the recipe has it, on its own: to look at what it says of samples."""
    fields = recipe.discriminator
    packed = (*shape.sample[:-1], shape.sample[-1] * fields.pack)
    module = d_module(recipe, shape._replace(sample=packed))
    # Spectral normalisation keeps a statistic too, but of the weights: no sample depends on another. In sngan real and
    # generated images pass apart all the same, as in its reference, and the power iteration takes a step with each.
    depends_on_batch = fields.network in ("sngan", "stylegan2") or (
        fields.network in ("mlp", "dcgan") and fields.norm == "batch"
    )
    batch = fields.group or 1 if fields.network == "stylegan2" else 1
    network = from_linen(module, jnp.zeros((batch, *packed)), jnp.zeros(batch, jnp.int32), depends_on_batch=depends_on_batch)
    return pack(at_precision(network, _dtype(recipe, shape, fields)), fields.pack)


def g_module(recipe: Recipe, shape: Shape) -> Any:
    """G as a flax.linen module."""
    fields, classes = recipe.generator, shape.classes
    if fields.network == "mlp":
        hidden = (fields.width,) * fields.depth
        return mlp.Generator(hidden, shape.sample, classes=classes, norm=fields.norm, remat=recipe.remat)
    size, channels = _square(shape, "generator", fields.network)
    if fields.network == "dcgan":
        return dcgan.Generator(size, channels, fields.width, classes, fields.norm, recipe.remat)
    if fields.network == "sngan":
        return sngan.Generator(size, channels, fields.width, classes, recipe.remat)
    if fields.network == "r3gan":
        return r3gan.Generator(**_r3gan(recipe, fields, size, channels, classes, "generator"))
    return stylegan2.Generator(
        image_size=size,
        channels=channels,
        classes=classes,
        w_dim=fields.style_dim,
        mapping_layers=fields.depth,
        channel_base=fields.channel_base,
        channel_max=fields.channel_max,
        architecture=fields.architecture,
        style_mixing=fields.style_mixing,
        conv_clamp=fields.clamp,
        bfloat16_levels=_half(recipe, fields, size),
        remat=recipe.remat,
    )


def d_module(recipe: Recipe, shape: Shape) -> Any:
    """D as a flax.linen module."""
    fields, classes = recipe.discriminator, shape.classes
    if fields.network == "mlp":
        return mlp.Discriminator((fields.width,) * fields.depth, classes=classes, norm=fields.norm, remat=recipe.remat)
    size, channels = _square(shape, "discriminator", fields.network)
    if fields.network == "dcgan":
        return dcgan.Discriminator(size, channels, fields.width, classes, fields.norm, recipe.remat)
    if fields.network == "sngan":
        return sngan.Discriminator(size, channels, fields.width, classes, recipe.remat)
    if fields.network == "r3gan":
        return r3gan.Discriminator(**_r3gan(recipe, fields, size, channels, classes, "discriminator"))
    return stylegan2.Discriminator(
        image_size=size,
        channels=channels,
        classes=classes,
        channel_base=fields.channel_base,
        channel_max=fields.channel_max,
        architecture=fields.architecture,
        mbstd_group=fields.group or None,
        mbstd_features=fields.group_features,
        mapping_layers=fields.depth,
        conv_clamp=fields.clamp,
        bfloat16_levels=_half(recipe, fields, size),
        remat=recipe.remat,
    )


def _r3gan(
    recipe: Recipe, fields: Generator | Discriminator, size: int, channels: int, classes: int, player: str
) -> dict[str, Any]:
    blocks = fields.blocks or (2,) * len(fields.widths)
    for name, values in (("widths", fields.widths), ("groups", fields.groups), ("blocks", blocks)):
        if 4 * 2 ** (len(values) - 1) != size:
            told = " ".join(map(str, values)) or "none"
            raise ValueError(f"{player}.{name}: {told}, but images of side {size} need one for each of 4, 8, .., {size}")
    return {
        "widths": fields.widths,
        "groups": fields.groups,
        "blocks": blocks,
        "expansion": fields.expansion,
        "embedding": fields.embedding,
        "channels": channels,
        "classes": classes,
        "bfloat16_levels": _half(recipe, fields, size),
        "remat": recipe.remat,
    }


def _dtype(recipe: Recipe, shape: Shape, fields: Generator | Discriminator) -> Any:
    """What the network's input is rounded to: float32 for one that sees to its resolutions by itself."""
    if recipe.precision == "float32" or fields.network in ("r3gan", "stylegan2"):
        return jnp.float32
    if len(shape.sample) != 3:
        raise ValueError("precision: bfloat16, but the data are points in the plane, too fine for its 8 bits; it is for images")
    return jnp.bfloat16


def _half(recipe: Recipe, fields: Generator | Discriminator, size: int) -> int:
    """Resolutions in bfloat16 of a network that has them one by one: all above 4x4, or as many as the recipe says."""
    above = size.bit_length() - 3  # 8, 16, .., size
    if recipe.precision == "float32":
        return fields.half
    if fields.half not in (0, above):
        player = "generator" if isinstance(fields, Generator) else "discriminator"
        told = f"precision bfloat16 means all {above} resolutions above 4x4; leave it at 0"
        raise ValueError(f"{player}.half: {fields.half}, but {told}")
    return above


def _augment(recipe: Recipe, shape: Shape) -> Augment | None:
    if not recipe.augment:
        return None
    if len(shape.sample) != 3:
        raise ValueError(f"augment: {recipe.augment!r}, but the data are points in the plane; it is for images")
    kind, _, pipe = recipe.augment.partition(":")
    try:
        return ada.ada(pipe) if kind == "ada" else diff_augment(recipe.augment)
    except ValueError as error:
        raise ValueError(f"augment: {str(error).partition(': ')[2]}") from error


def _strength(recipe: Recipe) -> float | Schedule | Adaptive:
    if recipe.augment_target is not None:
        return ada.adaptive(recipe.augment_target, recipe.augment_images)
    return _towards(recipe.augment_strength, recipe.final_augment_strength, recipe)


def _half_life(recipe: Recipe) -> Schedule:
    if recipe.initial_ema_half_life is None:
        return schedules.ramp(recipe.ema_half_life, recipe.ema_rampup)
    return schedules.cosine(recipe.initial_ema_half_life, recipe.ema_half_life, recipe.decay_images)


def _square(shape: Shape, player: str, network: str) -> tuple[int, int]:
    if len(shape.sample) != 3:
        raise ValueError(f"{player}.network: {network}, but the data are points in the plane; use mlp")
    height, width, channels = shape.sample
    if height != width:
        raise ValueError(
            f"{player}.network: {network} makes square images, but the data are {height}x{width}; set data.image_size"
        )
    return height, channels


def _adam(fields: Optimizer, recipe: Recipe, interval: int) -> optax.GradientTransformation:
    # A lazy penalty brings updates of its own: with it an interval holds one update more, and each must do so much less
    # (Karras et al. 2020, StyleGAN2, appendix B).
    share = interval / (interval + 1) if interval > 1 else 1.0
    rate = schedules.linear if fields.decay == "linear" else schedules.cosine
    start, end = fields.learning_rate * share, fields.final_learning_rate
    adam = schedules.scheduled(
        optax.adam,
        learning_rate=start if end is None else rate(start, end * share, recipe.decay_images),
        b1=fields.beta1**share,
        b2=_towards(fields.beta2, fields.final_beta2, recipe, share),
    )
    return adam if recipe.shard == "none" else _gathered(adam)


def _towards(start: float, end: float | None, recipe: Recipe, power: float = 1.0) -> float | Schedule:
    return start**power if end is None else schedules.cosine(start**power, end**power, recipe.decay_images)


def _gathered(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimizer that is cut over the devices, but for its updates: parameters stay whole within a step.

    XLA would leave them cut, and between the updates of one step cut up the networks too, and send activations.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def update(grads: optax.Updates, *rest: Any, **options: Any) -> tuple[optax.Updates, optax.OptState]:
        updates, state = optimizer.update(devices.everywhere(grads), *rest, **options)
        return devices.everywhere(updates), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)
