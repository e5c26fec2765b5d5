"""The GAN of a recipe, put together: objective, optimizers, augmentation and averaging as arguments of `make_gan`."""

import inspect
from typing import Any

import jax
import optax

from jaxgan.core import ada, penalties, schedules
from jaxgan.core.augment import diff_augment
from jaxgan.core.gan import make_gan
from jaxgan.core.types import GAN, Adaptive, Augment, Loss, Network, Schedule
from jaxgan.nets.transforms import stages
from jaxgan.recipes import Recipe, Schedules, code
from jaxgan.system import devices
from jaxgan.system.messages import FieldError, kind_of, kind_of_samples, shown
from jaxgan.training.dataset import Shape
from jaxgan.training.values import called, latent_of, penalty_of, terms_of, value_of


def assemble(
    *,
    recipe: Recipe,
    shape: Shape,
    loss: Loss,
    pair: tuple[Network, Network],
    counted_from: tuple[int, int],
    gamma: jax.Array | None = None,
) -> GAN:
    """Returns the GAN of a recipe; `gamma` weighs the penalty in place of the recipe's."""
    fields, (generator, discriminator) = recipe.penalty, pair
    # A weight of zero throughout is no penalty, and must not cost one.
    weighed = gamma is not None or fields.gamma or fields.final_gamma
    penalty = penalty_of(recipe) if weighed else None
    weight: Any = gamma if gamma is not None else _towards(fields.gamma, fields.final_gamma, recipe)
    path = penalties.path_length(generator, weight=fields.path_length) if fields.path_length else None
    d_optimizer = _optimizer("d_optimizer", recipe, 1 if penalty is None else fields.interval)
    return make_gan(
        generator=generator,
        discriminator=discriminator,
        loss=loss,
        penalty=penalty,
        gamma=None if penalty is None else weight,
        penalty_interval=fields.interval,
        g_penalty=path,
        g_penalty_interval=fields.path_interval,
        g_optimizer=_optimizer("g_optimizer", recipe, 1 if path is None else fields.path_interval),
        d_optimizer=_frozen(d_optimizer, discriminator, recipe.freeze_d) if recipe.freeze_d else d_optimizer,
        latent_dim=recipe.generator.latent_dim,
        latent=latent_of(recipe),
        disc_steps=recipe.disc_steps,
        share_z=recipe.share_z,
        accumulate=recipe.accumulate,
        augment=_augment(recipe, shape),
        augment_strength=_strength(recipe),
        ema_half_life=_half_life(recipe),
        counted_from=counted_from,
        terms=terms_of(recipe),
    )


def _optimizer(player: str, recipe: Recipe, interval: int) -> optax.GradientTransformation:
    part = getattr(recipe, player)
    share = interval / (interval + 1) if interval > 1 else 1.0
    if isinstance(part, optax.GradientTransformation):
        optimizer: Any = part
    else:
        arguments = (Schedules(recipe.decay_images, share),) if inspect.signature(part.build).parameters else ()
        optimizer = called(f"{player}: {type(part).__name__}.build", lambda: part.build(*arguments))
    if not isinstance(optimizer, optax.GradientTransformation):
        made = f"{kind_of(optimizer)} from {type(part).__name__}.build"
        raise FieldError(player, made, "it must be an optax.GradientTransformation")
    return optimizer if recipe.shard == "none" else _gathered(optimizer)


def _gathered(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Returns an optimizer whose state is sharded and whose updates are replicated, so that parameters stay whole in a step.

    XLA would leave them sharded, and between the updates of one step shard the networks too, and send activations.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def update(grads: optax.Updates, *rest: Any, **options: Any) -> tuple[optax.Updates, optax.OptState]:
        updates, state = optimizer.update(devices.everywhere(grads), *rest, **options)
        return devices.everywhere(updates), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def _frozen(optimizer: optax.GradientTransformation, network: Network, count: int) -> optax.GradientTransformation:
    """Returns an optimizer that leaves the first stages of a network as they are (Mo et al. 2020, Freeze the discriminator)."""
    names = stages(network)
    if count >= len(names):
        raise FieldError("freeze_d", count, f"D has {len(names)} stages ({', '.join(names)}), and one must be left to train")
    kept = names[:count]

    def labels(params: Any) -> Any:
        return {name: jax.tree.map(lambda _, name=name: "kept" if name in kept else "trained", params[name]) for name in params}

    return optax.multi_transform({"trained": optimizer, "kept": optax.set_to_zero()}, labels)


def _augment(recipe: Recipe, shape: Shape) -> Augment | None:
    if not isinstance(recipe.augment, str) or code.is_reference(recipe.augment):
        found: Augment = value_of("augment", recipe.augment, {})
        return found
    if not recipe.augment:
        return None
    if len(shape.sample) != 3:
        told = f"the data are {kind_of_samples(shape.sample)}; it is for images"
        raise FieldError("augment", shown(recipe.augment), told)
    kind, _, pipe = recipe.augment.partition(":")
    try:
        return ada.ada(pipe) if kind == "ada" else diff_augment(recipe.augment)
    except FieldError as error:
        raise error.renamed("augment") from error


def _strength(recipe: Recipe) -> float | Schedule | Adaptive:
    if recipe.augment_target is not None:
        return ada.adaptive(recipe.augment_target, recipe.augment_images)
    return _towards(recipe.augment_strength, recipe.final_augment_strength, recipe)


def _half_life(recipe: Recipe) -> Schedule:
    if recipe.initial_ema_half_life is None:
        return schedules.ramp(recipe.ema_half_life, recipe.ema_rampup)
    return schedules.cosine(recipe.initial_ema_half_life, recipe.ema_half_life, recipe.decay_images)


def _towards(start: float, end: float | None, recipe: Recipe) -> float | Schedule:
    return start if end is None else schedules.cosine(start, end, recipe.decay_images)
