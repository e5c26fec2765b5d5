"""Training a GAN: two players, two losses, one alternating step.

D, the discriminator, learns to tell real images x from generated ones G(z); G, the generator, learns to fool it:

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]

One step is Algorithm 1 of Goodfellow et al. 2014, Generative Adversarial Nets:

    for k steps:   draw z and real images x;   move D down its loss, G held fixed
    once:          draw z;                     move G down its loss, D held fixed

Here D returns a logit, D(x) = sigmoid(logit), and what each player descends is a `Loss`: the minimax game above is one
choice among several. After training D is dropped: draw z, and G(z) is a new image.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.core import types as t


def make_gan(
    *,
    generator: t.Network,
    discriminator: t.Network,
    loss: t.Loss,
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    latent_dim: int,
    latent: Callable[[t.Key, tuple[int, ...]], t.Latents] = jax.random.normal,
    penalty: t.Penalty | None = None,
    gamma: float | t.Schedule | None = None,
    penalty_interval: int = 1,
    g_penalty: t.GPenalty | None = None,
    g_penalty_interval: int = 1,
    disc_steps: int = 1,
    share_z: bool = False,
    accumulate: int = 1,
    augment: t.Augment | None = None,
    augment_strength: float | t.Schedule | t.Adaptive = 1.0,
    ema_half_life: float | t.Schedule = 10_000.0,
) -> t.GAN:
    """Makes a GAN of two networks and a loss: `init`, `step` and `sample`, pure functions for the caller to jit.

    Args:
        generator: maps latents `[B, latent_dim]` and labels `[B]` to images `[B, H, W, C]`.
        discriminator: maps images `[B, H, W, C]` and labels `[B]` to logits `[B]`, or of packs of m `[B / m]`.
        loss: what each player minimises, one of `jaxgan.losses`.
        g_optimizer: Optax optimizer of G. It is told the images shown, so `schedules.scheduled` can follow them.
        d_optimizer: Optax optimizer of D, likewise.
        latent_dim: length of z.
        latent: distribution of z, `(key, shape) -> [*shape]`.
        penalty: added to D's loss, one of `jaxgan.penalties`; None for none.
        gamma: weight of the penalty, a number or a schedule in images shown; a penalty needs one.
        penalty_interval: steps from one use of the penalty to the next. Above 1 it is lazy: D moves down the penalty alone,
            times the interval, in an update of its own (Karras et al. 2020, StyleGAN2, section 3.1).
        g_penalty: added to G's loss, such as `penalties.path_length`; None for none.
        g_penalty_interval: likewise, of G.
        disc_steps: k, D's updates for each one of G.
        share_z: let G's update use the z of D's last one. Still alternating, and faster, but not two draws.
        accumulate: microbatches that an update's batch is cut into: its gradient is the mean of theirs, and only one of them is
            in memory at a time. Nothing else changes for networks that treat samples one by one. Where they do not, and
            where a loss or a penalty takes a mean of its own, that is the microbatch's; and what is drawn besides z (noise,
            augmentations, interpolations) is drawn for each.
        augment: what D sees passes through it, `(key, images, strength) -> images`; G's gradient does too.
        augment_strength: its strength: a number, a schedule in images shown, or steered by D (`ada.adaptive`).
        ema_half_life: images shown in which the averaged generator forgets half of what it was; 0 for no averaging;
            a number or a schedule in images shown.

    Returns:
        A `GAN`. `step(state, batch, key)` cuts the batch into equal parts: one for each D update and, when the loss is
        relativistic, a fresh one for G's; "images shown" counts those shown to D in its own updates. The key is the
        run's and never changes. `info` tells of D's last update and of G's: losses, mean logits, `d_real` and `d_fake`,
        the means of sigmoid(logit), which are D(x) and D(G(z)) where D is a classifier, the penalty without its weight,
        and the norms of both gradients. `sample(weights, key, labels)` maps latents by a generator's weights, `state.ema`
        where the average is wanted; image i depends on the key, its label and `first + i` only. With `z [N, latent_dim]`
        it maps those latents instead. With a `truncation` psi, a generator that has a mapping takes its styles at
        `mean + psi (w - mean)`.

    Raises:
        ValueError: when a number is out of range; from `step` when the batch does not divide into its parts, or a part into
            microbatches.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, equation 1 and algorithm 1.
    """
    _check_at_least(1, int, latent_dim=latent_dim, disc_steps=disc_steps, accumulate=accumulate)
    _check_at_least(1, int, penalty_interval=penalty_interval, g_penalty_interval=g_penalty_interval)
    _check_at_least(0, float, gamma=0.0 if gamma is None else gamma, ema_half_life=ema_half_life)
    adaptive = augment_strength if isinstance(augment_strength, t.Adaptive) else None
    if adaptive is None:
        _check_at_least(0, float, augment_strength=augment_strength)
    if penalty is not None and gamma is None:
        raise ValueError("gamma: None, but a penalty needs its weight")
    g_optimizer, d_optimizer = map(optax.with_extra_args_support, (g_optimizer, d_optimizer))
    parts = disc_steps + loss.relativistic

    def generate(g: t.Player, draw: Draw) -> tuple[t.Images, t.PyTree]:
        return generator.apply(g.params, g.stats, draw.z, draw.labels, jax.random.fold_in(draw.key, 0), train=True)

    def discriminate(d: t.Player, x: t.Images, draw: Draw) -> tuple[t.Logits, t.PyTree]:
        """D's logits `[kB]` on k interleaved batches `[kB, ...]`, and its new statistics."""
        if augment is not None:
            x = augment(jax.random.fold_in(draw.key, 1), x, draw.strength)
        k, d_key = x.shape[0] // draw.labels.shape[0], jax.random.fold_in(draw.key, 2)
        if not discriminator.couples:
            return discriminator.apply(d.params, d.stats, x, jnp.repeat(draw.labels, k), d_key, train=True)
        logits, stats = [], d.stats
        for batch in jnp.unstack(_deal(x, k)):  # apart: real and fake have batch statistics of their own
            y, stats = discriminator.apply(d.params, stats, batch, draw.labels, d_key, train=True)
            logits.append(y)
        return _interleave(*logits), stats

    def d_loss(params: t.PyTree, d: t.Player, g: t.Player, draw: Draw) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
        d = d._replace(params=params)
        fake = lax.stop_gradient(generate(g, draw)[0])
        logits, stats = discriminate(d, _interleave(draw.real, fake), draw)
        real_logits, fake_logits = _deal(logits, 2)
        value = loss.d(real_logits, fake_logits).mean()
        info = {"d_loss": value, "real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        info["d_real"] = jax.nn.sigmoid(real_logits).mean()  # D(x)
        info["d_fake"] = jax.nn.sigmoid(fake_logits).mean()  # D(G(z))
        if adaptive is not None:
            info["real_sign"] = jnp.sign(real_logits).mean()
        if penalty is not None and penalty_interval == 1:
            weighed, info["penalty"] = penalise(penalty, d, fake, draw)
            value = value + weighed
        return value, (stats, info)

    def penalise(penalty: t.Penalty, d: t.Player, fake: t.Images, draw: Draw) -> tuple[jax.Array, jax.Array]:
        """The penalty with and without its weight."""
        unscaled = penalty(lambda x: discriminate(d, x, draw)[0], draw.real, fake, jax.random.fold_in(draw.key, 3)).mean()
        return _at(0.0 if gamma is None else gamma, draw.shown) * unscaled, unscaled

    def lazy_penalty(params: t.PyTree, d: t.Player, g: t.Player, draw: Draw) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
        assert penalty is not None
        fake = lax.stop_gradient(generate(g, draw)[0])
        weighed, unscaled = penalise(penalty, d._replace(params=params), fake, draw)
        return penalty_interval * weighed, (d.stats, {"penalty": unscaled})

    def g_loss(params: t.PyTree, g: t.Player, d: t.Player, draw: Draw) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
        fake, stats = generate(g._replace(params=params), draw)
        # In training mode, as in D's own step, or a D with batch normalisation would judge G by another function.
        # The real pass augments by draws of its own; XLA removes it where the loss does not use it.
        real_logits, _ = discriminate(d, draw.real, draw._replace(key=jax.random.fold_in(draw.key, 5)))
        fake_logits, _ = discriminate(d, fake, draw)
        value = loss.g(real_logits, fake_logits).mean()
        return value, (stats, {"g_loss": value})

    def smooth_loss(params: t.PyTree, g: t.Player, average: jax.Array, draw: Draw) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
        assert g_penalty is not None
        key = jax.random.fold_in(draw.key, 6)
        value, average = g_penalty.apply(params, g.stats, draw.z, draw.labels, key, average)
        return g_penalty_interval * value.mean(), (g.stats, {"average": average})

    def update(
        loss_of: Callable[..., Any], optimizer: Any, player: t.Player, opponent: t.PyTree, draw: Draw
    ) -> tuple[t.Player, t.Info]:
        """Moves one player down its loss. Its opponent is held fixed: nothing of it changes, statistics included."""
        gradient = jax.grad(loss_of, has_aux=True)
        grads, (stats, info) = _averaged(lambda each: gradient(player.params, player, opponent, each), draw, accumulate)
        change, opt = optimizer.update(grads, player.opt, player.params, images=draw.shown)
        return t.Player(optax.apply_updates(player.params, change), stats, opt), info | {"grad_norm": optax.tree.norm(grads)}

    def draws(state: t.GANState, batch: t.Batch, key: t.Key) -> tuple[list[Draw], Draw]:
        """What chance brings to one step: k draws for D and one for G."""
        count = batch["image"].shape[0]
        if count == 0 or count % parts:
            raise ValueError(f"batch: {count} images, but this step needs {parts} equal parts of them")
        if "label" not in batch or batch["label"].shape != (count,):
            raise ValueError(f"batch: it needs a label for each of its {count} images, zeros when unconditional")
        size = count // parts
        if size % accumulate:
            raise ValueError(f"accumulate: {accumulate}, but it must divide the {size} images of an update")
        images, labels = _deal(batch["image"], parts), _deal(batch["label"], parts)
        keys = jax.random.split(jax.random.fold_in(key, state.step), disc_steps + 1)
        shown = state.step.astype(float) * (disc_steps * size)
        if isinstance(augment_strength, t.Adaptive):
            strength = augment_strength.value(state.memory["augment_strength"])
        else:
            strength = _at(augment_strength, shown)

        # One array where both updates have the same z: of two equal draws XLA would not know it, and run G on each.
        keys = keys[: disc_steps + 1 - share_z]
        zs = [latent(jax.random.fold_in(each, 4), (size, latent_dim)) for each in keys]

        def draw(part: int, i: int) -> Draw:
            return Draw(zs[i], images[part], labels[part], keys[i], shown, strength)

        # G's part is the last: one of its own, or where its loss looks at no real images, D's last.
        return [draw(i, i) for i in range(disc_steps)], draw(parts - 1, disc_steps - share_z)

    def init(key: t.Key) -> t.GANState:
        g_params, g_stats = generator.init(jax.random.fold_in(key, 0))
        d_params, d_stats = discriminator.init(jax.random.fold_in(key, 1))
        remembers = {"augment_strength": adaptive, "g_penalty": g_penalty}
        memory = {name: each.init() for name, each in remembers.items() if each is not None}
        return t.GANState(
            step=jnp.zeros((), jnp.int32),
            g=t.Player(g_params, g_stats, g_optimizer.init(g_params)),
            d=t.Player(d_params, d_stats, d_optimizer.init(d_params)),
            # A copy: leaves that share a buffer could not be donated.
            ema=jax.tree.map(jnp.copy, t.Weights(g_params, g_stats)),
            memory=memory,
        )

    def step(state: t.GANState, batch: t.Batch, key: t.Key) -> tuple[t.GANState, t.Info]:
        d_draws, g_draw = draws(state, batch, key)
        d, g, memory = state.d, state.g, dict(state.memory)
        for draw in d_draws:  # not lax.scan: XLA's CPU convolutions lose their fast path inside a loop
            d, d_info = update(d_loss, d_optimizer, d, g, draw)
        if penalty is not None and penalty_interval > 1:
            (d,) = _every(penalty_interval, state.step, lambda d: update(lazy_penalty, d_optimizer, d, g, draw)[:1], d)
        g, g_info = update(g_loss, g_optimizer, g, d, g_draw)
        if g_penalty is not None:

            def smooth(g: t.Player, average: jax.Array) -> tuple[t.Player, jax.Array]:
                g, info = update(smooth_loss, g_optimizer, g, average, g_draw)
                return g, info["average"]

            g, memory["g_penalty"] = _every(g_penalty_interval, state.step, smooth, g, memory["g_penalty"])
            g_info["path_length"] = memory["g_penalty"]
        images = disc_steps * g_draw.z.shape[0]
        if adaptive is not None:
            d_info["augment_strength"] = g_draw.strength
            memory["augment_strength"] = adaptive.update(memory["augment_strength"], d_info["real_sign"], images)

        keep = 0.5 ** (images / jnp.maximum(_at(ema_half_life, g_draw.shown), 1e-8))
        ema = jax.tree.map(
            lambda now, average: (now + (average - now) * keep).astype(average.dtype), t.Weights(g.params, g.stats), state.ema
        )
        info = {"d_grad_norm": d_info.pop("grad_norm"), "g_grad_norm": g_info.pop("grad_norm")} | d_info | g_info
        return t.GANState(state.step + 1, g, d, ema, memory), info

    def sample(
        weights: t.Weights,
        key: t.Key,
        labels: t.Labels,
        *,
        z: t.Latents | None = None,
        first: int | jax.Array = 0,
        truncation: float | None = None,
    ) -> t.Images:
        if z is None:
            index = first + jnp.arange(labels.shape[0])
            z = jax.vmap(lambda i: latent(jax.random.fold_in(key, i), (latent_dim,)))(index)
        noise_key = jax.random.fold_in(key, 2**32 - 1)  # z is drawn from those of the indices
        params, stats = weights
        if truncation is None:
            return generator.apply(params, stats, z, labels, noise_key, train=False)[0]
        if generator.map is None or generator.synthesize is None:
            raise ValueError(f"truncation: {truncation}, but this generator has no mapping network; truncate z instead")
        w, _ = generator.map(params, stats, z, labels, noise_key, train=False, truncation=truncation)
        return generator.synthesize(params, stats, w, noise_key, train=False)

    return t.GAN(init, step, sample)


class Draw(NamedTuple):
    """What chance brings to one update, and when."""

    z: t.Latents
    real: t.Images
    labels: t.Labels
    key: t.Key
    shown: jax.Array  # images shown to D before this step
    strength: jax.Array  # of augmentation


def _interleave(*batches: jax.Array) -> jax.Array:
    """k batches `[B, ...]` -> `[kB, ...]`, image by image; so a batch sharded over devices stays where it is."""
    return jnp.stack(batches, axis=1).reshape(-1, *batches[0].shape[1:])


def _deal(x: jax.Array, k: int) -> jax.Array:
    """`[kB, ...]` -> k batches `[k, B, ...]`, as cards are dealt: the inverse of `_interleave`."""
    return jnp.moveaxis(x.reshape(-1, k, *x.shape[1:]), 1, 0)


def _averaged(of: Callable[[Draw], t.PyTree], draw: Draw, n: int) -> t.PyTree:
    """The mean of what a function makes of n microbatches of a draw, one after the other; of the draw itself when n is 1."""
    if n == 1:
        return of(draw)

    def one(key: t.Key, z: t.Latents, real: t.Images, labels: t.Labels) -> t.PyTree:
        return of(draw._replace(key=key, z=z, real=real, labels=labels))

    def add(mean: t.PyTree, each: tuple[jax.Array, ...]) -> tuple[t.PyTree, None]:
        count, *cut = each
        # No sum divided in the end: what is the same in all of them, as fixed noise among statistics, stays so to the bit.
        return jax.tree.map(lambda mean, x: (mean + (x - mean) / count).astype(x.dtype), mean, one(*cut)), None

    keys = jax.random.split(jax.random.fold_in(draw.key, 7), n)
    cuts = (keys, *(_deal(x, n) for x in (draw.z, draw.real, draw.labels)))
    shapes = jax.eval_shape(one, *(x[0] for x in cuts))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return lax.scan(add, zeros, (jnp.arange(1, n + 1), *cuts))[0]


def _every(interval: int, step: jax.Array, move: Callable[..., Any], *before: t.PyTree) -> Any:
    """What a move makes of things, at every interval-th step; else they stay as they are."""
    return move(*before) if interval == 1 else lax.cond(step % interval == 0, move, lambda *same: same, *before)


def _at(value: float | t.Schedule, shown: jax.Array) -> jax.Array:
    return value(shown) if callable(value) else jnp.asarray(value, float)


def _check_at_least(least: int, kind: type[int] | type[float], **values: Any) -> None:
    for name, value in values.items():
        if kind is float and (callable(value) or isinstance(value, jax.Array)):
            continue  # a schedule, or traced in a sweep: only its user knows
        if not isinstance(value, (int, kind)) or isinstance(value, bool) or not least <= value < math.inf:
            raise ValueError(f"{name}: {value!r}, but it must be a finite {kind.__name__}, at least {least}")
