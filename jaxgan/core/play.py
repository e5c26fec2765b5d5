"""Parts of a training step: the arguments as a record, random draws, one update of one player, the averaged generator."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxgan.core import fits
from jaxgan.core import types as t
from jaxgan.system.messages import FieldError, kind_of, shown


class Game(NamedTuple):
    """The arguments of `make_gan`, where each is described."""

    generator: t.Network
    discriminator: t.Network
    loss: t.Loss
    g_optimizer: Any
    d_optimizer: Any
    latent_dim: int
    latent: t.LatentDistribution
    penalty: t.Penalty | None
    gamma: float | t.Schedule | None
    penalty_interval: int
    g_penalty: t.GPenalty | None
    g_penalty_interval: int
    disc_steps: int
    share_z: bool
    accumulate: int
    augment: t.Augment | None
    augment_strength: float | t.Schedule | t.Adaptive
    ema_half_life: float | t.Schedule
    counted_from: tuple[int, int]
    terms: tuple[t.Term, ...] = ()

    @property
    def adaptive(self) -> t.Adaptive | None:
        """The rule that steers the strength of augmentation; None where the strength is a number or a schedule."""
        return self.augment_strength if isinstance(self.augment_strength, t.Adaptive) else None


class Draw(NamedTuple):
    """The random inputs of one update, and its time."""

    z: t.Latents
    real: t.Images
    labels: t.Labels
    key: t.Key
    shown: jax.Array  # images shown to D before this step
    strength: jax.Array  # of augmentation
    batch: t.Batch  # all that the batch holds, for terms; empty where there are none


LossOf = Callable[[Game, t.PyTree, t.Player, Any, Draw], tuple[jax.Array, tuple[t.PyTree, t.Info]]]


def checked(game: Game) -> Game:
    """Checks the parts and the numbers of a game, and lets both optimizers take the images shown.

    Args:
        game: as given by the user.

    Returns:
        The game, with optimizers whose `update` takes `images`.

    Raises:
        FieldError: when a part is of another kind, a number out of range, or a penalty without its weight.
    """
    _check_parts(game)
    _check_terms(game.terms)
    _check_at_least(1, int, latent_dim=game.latent_dim, disc_steps=game.disc_steps, accumulate=game.accumulate)
    _check_at_least(1, int, penalty_interval=game.penalty_interval, g_penalty_interval=game.g_penalty_interval)
    if not isinstance(game.counted_from, tuple) or len(game.counted_from) != 2:
        raise FieldError("counted_from", shown(game.counted_from), "it must be (step, images)")
    step, images = game.counted_from
    _check_at_least(0, int, **{"counted_from[0]": step, "counted_from[1]": images})
    _check_at_least(0, float, gamma=0.0 if game.gamma is None else game.gamma, ema_half_life=game.ema_half_life)
    if game.adaptive is None:
        _check_at_least(0, float, augment_strength=game.augment_strength)
    if game.penalty is not None and game.gamma is None:
        raise FieldError("gamma", "None", "a penalty needs its weight")
    _check_functions(game)
    g, d = map(optax.with_extra_args_support, (game.g_optimizer, game.d_optimizer))
    return game._replace(g_optimizer=g, d_optimizer=d)


def _check_parts(game: Game) -> None:
    for name in ("generator", "discriminator"):
        if not isinstance(part := getattr(game, name), t.Network):
            raise FieldError(name, kind_of(part), "it must be a jaxgan.Network, as jaxgan.from_linen makes one")
    if not isinstance(game.loss, t.Loss):
        raise FieldError("loss", kind_of(game.loss), "it must be a jaxgan.Loss, such as jaxgan.losses.hinge")
    for name in ("g_optimizer", "d_optimizer"):
        if not all(callable(getattr(getattr(game, name), each, None)) for each in ("init", "update")):
            raise FieldError(
                name, kind_of(getattr(game, name)), "it must be a transformation of Optax, such as optax.adam(1e-3)"
            )


def _check_functions(game: Game) -> None:
    made = {"penalty": "jaxgan.penalties.r1_r2", "augment": "jaxgan.augment.diff_augment()", "latent": "jax.random.normal"}
    for name, example in made.items():
        part = getattr(game, name)
        if part is not None and not callable(part):
            raise FieldError(name, kind_of(part), f"it must be a function, such as {example}")
    if type(game.share_z) is not bool:
        raise FieldError("share_z", shown(game.share_z), "it must be True or False")


# Names that a step reports besides those of its terms.
TOLD = (
    "d_loss", "g_loss", "real_logits", "fake_logits", "d_real", "d_fake", "real_sign", "penalty", "path_length",
    "augment_strength", "d_grad_norm", "g_grad_norm",
)  # fmt: skip


def _check_terms(terms: Any) -> None:
    if not isinstance(terms, (tuple, list)):
        raise FieldError("terms", kind_of(terms), "they must be a tuple of jaxgan.Term")
    taken = set(TOLD)
    for term in terms:
        if not isinstance(term, t.Term) or not callable(term.function):
            kind = kind_of(term.function if isinstance(term, t.Term) else term)
            raise FieldError("terms", kind, "each must be a jaxgan.Term of a function (fake, batch, key) -> [B]")
        name = term.label
        if not isinstance(name, str) or not name.isidentifier():
            raise FieldError("terms", shown(name), "a term needs a name of letters, digits and _: Term(.., name='..')")
        if {name, f"{name}_weight"} & taken:
            raise FieldError("terms", shown(name), "something of that name is told already; give the term name='..'")
        taken |= {name, f"{name}_weight"}
        _check_at_least(0, float, **{f"terms.{name}.weight": term.weight})
        _check_at_least(0, int, **{f"terms.{name}.starts": term.starts})


def draws(game: Game, state: t.GANState, batch: t.Batch, key: t.Key) -> tuple[list[Draw], Draw]:
    """Draws the random inputs of one step: k times for D and once for G.

    Args:
        game: the rules.
        state: before the step.
        batch: images `[B, ...]` and labels `[B]`, zeros where it holds none; cut into k equal parts, and one more for G where
            the loss is relativistic.
        key: the run's; `state.step` is folded in.

    Returns:
        The draws of D's updates and that of G's.

    Raises:
        ValueError: when the batch does not divide into its parts, or a part into microbatches.
    """
    k, parts = game.disc_steps, game.disc_steps + game.loss.relativistic
    fits.check_key(key)
    size = _part_size(batch, parts, game.accumulate, game.loss.relativistic)
    zeros = None if {"label", "condition"} & set(batch) else jnp.zeros(parts * size, jnp.int32)
    labels = batch.get("condition", batch.get("label", zeros))
    images, labels = deal(batch["image"], parts), jax.tree.map(lambda x: deal(x, parts), labels)
    whole = jax.tree.map(lambda x: deal(x, parts), dict(batch)) if game.terms else {}
    keys = jax.random.split(jax.random.fold_in(key, state.step), k + 1)
    shown = images_shown(game, state.step, size)
    if isinstance(game.augment_strength, t.Adaptive):
        strength = game.augment_strength.value(state.memory["augment_strength"])
    else:
        strength = at(game.augment_strength, shown)

    # One array where both updates have the same z: XLA would not see that two draws are equal, and would run G on each.
    keys = keys[: k + 1 - game.share_z]
    zs = [game.latent(jax.random.fold_in(each, 4), (size, game.latent_dim)) for each in keys]

    def draw(part: int, i: int) -> Draw:
        own = jax.tree.map(lambda x: x[part], whole)
        return Draw(zs[i], images[part], jax.tree.map(lambda x: x[part], labels), keys[i], shown, strength, own)

    # G's part is the last one: its own, or D's last where G's loss ignores the real images.
    return [draw(i, i) for i in range(k)], draw(parts - 1, k - game.share_z)


def images_shown(game: Game, step: jax.Array, size: int) -> jax.Array:
    """Counts the images shown to D before a step, in its own updates of `size` images each.

    Returns:
        Scalar float32: `images + (step - first) k size` with `counted_from = (first, images)`.
    """
    first, images = game.counted_from
    shown = (step - first if first else step).astype(float) * (game.disc_steps * size)
    return images + shown if images else shown


def update(
    game: Game, loss: LossOf, optimizer: Any, player: t.Player, opponent: t.PyTree, draw: Draw
) -> tuple[t.Player, t.Info]:
    """Moves one player down its loss. The opponent is held fixed, statistics included.

    Args:
        game: the rules.
        loss: `(game, params, player, opponent, draw) -> (value, (stats, info))`, differentiated with respect to `params`.
        optimizer: of the player.
        player: the one that moves.
        opponent: the other player, or another value that the loss needs.
        draw: the random inputs of this update.

    Returns:
        The player with new parameters, statistics and optimizer state, and the loss's `info` with the gradient's norm.
    """

    def gradient(draw: Draw) -> tuple[t.PyTree, tuple[t.PyTree, t.Info]]:
        return jax.grad(lambda params: loss(game, params, player, opponent, draw), has_aux=True)(player.params)

    grads, (stats, info) = mean_over_microbatches(gradient, draw, game.accumulate)
    change, opt = optimizer.update(grads, player.opt, player.params, images=draw.shown)
    return t.Player(optax.apply_updates(player.params, change), stats, opt), info | {"grad_norm": optax.tree.norm(grads)}


def mean_over_microbatches(of: Callable[[Draw], t.PyTree], draw: Draw, n: int) -> t.PyTree:
    """Takes the mean of a function over n microbatches of a draw, one after the other in memory.

    Args:
        of: maps a draw to a pytree of arrays.
        draw: of `[B, ...]`; n divides B.
        n: microbatches; with 1, `of(draw)` is returned.

    Returns:
        The mean, a pytree as `of` returns.
    """
    if n == 1:
        return of(draw)

    def one(key: t.Key, z: t.Latents, real: t.Images, labels: t.Labels, batch: t.Batch) -> t.PyTree:
        return of(draw._replace(key=key, z=z, real=real, labels=labels, batch=batch))

    def add(mean: t.PyTree, each: tuple[t.PyTree, ...]) -> tuple[t.PyTree, None]:
        count, *cut = each

        # A running mean rather than a sum divided at the end: values equal in all microbatches, such as fixed noise among
        # the statistics, stay the same bit for bit.
        def moved(mean: jax.Array, x: jax.Array) -> jax.Array:
            return (mean + (x - mean) / count).astype(x.dtype) if _is_inexact(x) else x

        return jax.tree.map(moved, mean, one(*cut)), None

    keys = jax.random.split(jax.random.fold_in(draw.key, 7), n)
    cuts = (keys, *jax.tree.map(lambda x: deal(x, n), (draw.z, draw.real, draw.labels, draw.batch)))
    shapes = jax.eval_shape(one, *jax.tree.map(lambda x: x[0], cuts))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return lax.scan(add, zeros, (jnp.arange(1, n + 1), *cuts))[0]


def averaged(game: Game, ema: t.Weights, g: t.Player, draw: Draw) -> t.Weights:
    """Moves the averaged generator towards G, an exponential moving average with a half-life in images shown.

    Args:
        game: the rules; of these the half-life and the images that a step shows.
        ema: the average before.
        g: G after its update.
        draw: of G's update.

    Returns:
        `ema + (g - ema) (1 - keep)` with `keep = 0.5^(images / half-life)`; G itself at half-life 0.
    """
    images = game.disc_steps * draw.z.shape[0]
    keep = 0.5 ** (images / jnp.maximum(at(game.ema_half_life, draw.shown), 1e-8))

    def moved(now: jax.Array, average: jax.Array) -> jax.Array:
        return (now + (average - now) * keep).astype(average.dtype) if _is_inexact(now) else now

    return jax.tree.map(moved, t.Weights(g.params, g.stats), ema)


def at(value: float | t.Schedule, shown: jax.Array) -> jax.Array:
    """Evaluates a schedule at a number of images shown; a constant is returned as an array."""
    if not callable(value):
        return jnp.asarray(value, float)
    found = value(shown)
    if jnp.shape(found) or not isinstance(found, (int, float, np.number, jax.Array)) or jnp.iscomplexobj(found):
        given = f"an array {list(jnp.shape(found))}" if jnp.shape(found) else kind_of(found)
        raise FieldError("schedule", f"it returns {given}", "it must return one real number for the images shown")
    return jnp.asarray(found, float)


def one_each(labels: t.Labels | t.Condition | int | None, n: int | None, z: t.Latents | None) -> t.PyTree:
    """Returns the label or condition of each image: those given, one class for all, or zeros where there are none.

    Args:
        labels: `[N]`, one class, None, or a condition, arrays `[N, ...]` in any structure.
        n: number of images, or None.
        z: latents `[N, D]`, or None.

    Raises:
        ValueError: when their numbers differ.
    """
    _check_count(n)
    name, count = "labels", None
    if _is_condition(labels):
        name, labels = "condition", jax.tree.map(jnp.asarray, labels)
        count = next((leaf.shape[0] for leaf in jax.tree.leaves(labels) if leaf.ndim), 0)
        check_leading(name, labels, count)
    elif shape := jnp.shape(0 if labels is None else labels):
        count = shape[0]
    given = {name: count, "n": n, "z": z.shape[0] if getattr(z, "ndim", 0) and z is not None else None}
    counts = {name: count for name, count in given.items() if count is not None}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} for {count}" for name, count in counts.items())
        raise FieldError(next(iter(counts)), told, "they must be of one number of images")
    if count is not None:
        return jax.tree.map(jnp.asarray, labels) if name == "condition" else jnp.asarray(labels)
    return jnp.full(next(iter(counts.values()), 1), 0 if labels is None else labels, jnp.int32)


def _is_condition(labels: t.PyTree) -> bool:
    """Tells a condition from labels: anything but one class or a sequence of classes."""
    if isinstance(labels, (list, tuple)):
        return any(jnp.ndim(each) for each in jax.tree.leaves(labels))
    return isinstance(labels, Mapping) or jnp.ndim(0 if labels is None else labels) > 1


def interleave(*batches: jax.Array) -> jax.Array:
    """k batches `[B, ...]` -> `[kB, ...]`, image by image; so a batch sharded over devices stays where it is."""
    return jnp.stack(batches, axis=1).reshape(-1, *batches[0].shape[1:])


def deal(x: jax.Array, k: int) -> jax.Array:
    """`[kB, ...]` -> k batches `[k, B, ...]`, as cards are dealt: the inverse of `interleave`."""
    return jnp.moveaxis(x.reshape(-1, k, *x.shape[1:]), 1, 0)


def _is_inexact(x: jax.Array) -> bool:
    """True for floating-point arrays: counts and flags among statistics have no mean, and the latest is kept."""
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _part_size(batch: t.Batch, parts: int, accumulate: int, relativistic: bool) -> int:
    """Returns the number of images of one update; refuses a batch that cannot be cut into such parts."""
    if not isinstance(batch, Mapping):
        raise FieldError("batch", kind_of(batch), 'it must be a dict, {"image": [B, ...]}')
    if "image" not in batch:
        held = ", ".join(batch) or "nothing"
        raise FieldError("batch", f"it holds {held}", "it needs image [B, ...], and label [B] where there are classes")
    if not jnp.shape(batch["image"]):
        raise FieldError("batch.image", kind_of(batch["image"]), "it must be an array [B, ...]")
    count = batch["image"].shape[0]
    if not _is_inexact(batch["image"]):
        made = "it must be floats in [-1, 1], of uint8 x / 127.5 - 1"
        raise FieldError("batch.image", f"of {batch['image'].dtype}", made)
    if count == 0 or count % parts:
        told = "D's updates and a fresh one for G's, whose loss is relativistic" if relativistic else "D's updates"
        raise FieldError("batch", f"{count} images", f"this step needs {parts} equal parts of them: {told}")
    if "label" in batch and jnp.shape(batch["label"]) != (count,):
        given = f"labels of shape {list(jnp.shape(batch['label']))}"
        raise FieldError("batch", given, f"it needs one for each of {count} images, or none where there are no classes")
    for name in batch:
        check_leading(f"batch.{name}", batch[name], count)
    if count // parts % accumulate:
        raise FieldError("accumulate", accumulate, f"it must divide the {count // parts} images of an update")
    return int(count // parts)


def _check_count(n: int | None) -> None:
    """Refuses a number of samples that is not known when the program is compiled."""
    try:
        if operator.index(1 if n is None else n) < 1:
            raise FieldError("n", n, "it must be at least 1")
    except TypeError:
        told = "it must be a whole number, and static under jit: jax.jit(gan.sample, static_argnames='n')"
        raise FieldError("n", kind_of(n), told) from None


def check_leading(field: str, tree: t.PyTree, count: int) -> None:
    """Refuses a tree of arrays that do not hold one entry for each of `count` samples.

    Raises:
        FieldError: naming the array.
    """
    for path, leaf in jax.tree.leaves_with_path(tree):
        if jnp.shape(leaf)[:1] != (count,):
            name = "/".join(filter(None, (field, jax.tree_util.keystr(path, simple=True, separator="/"))))
            raise FieldError(
                name, f"an array of shape {list(jnp.shape(leaf))}", f"it must hold one for each of {count} samples"
            )


def _check_at_least(least: int, kind: type[int] | type[float], **values: Any) -> None:
    for name, value in values.items():
        if kind is float and (callable(value) or (isinstance(value, jax.Array) and not value.shape)):
            continue  # a schedule, or traced in a sweep: its value is not known here
        if not isinstance(value, (int, kind)) or isinstance(value, bool) or not least <= value < math.inf:
            raise FieldError(name, shown(value), f"it must be a finite {kind.__name__}, at least {least}")
