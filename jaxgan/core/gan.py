"""Training a GAN: two players, two losses, one alternating step.

D, the discriminator, learns to tell real images x from generated ones G(z); G, the generator, learns to fool it:

    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]

One step is Algorithm 1 of Goodfellow et al. 2014, Generative Adversarial Nets:

    for k steps:   draw z and real images x;   move D down its loss, G held fixed
    once:          draw z;                     move G down its loss, D held fixed

Here D returns a logit, D(x) = sigmoid(logit), and what each player descends is a `Loss`: the minimax game above is one
choice among several. After training D is dropped: draw z, and G(z) is a new image.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.core import fits, logits
from jaxgan.core import types as t
from jaxgan.core.play import Draw, Game, averaged, checked, deal, draws, interleave, one_each, update
from jaxgan.core.regularise import lazily, smooth_paths, steer, weighed
from jaxgan.core.weighing import weighed_terms
from jaxgan.system.messages import FieldError


def make_gan(
    *,
    generator: t.Network,
    discriminator: t.Network,
    loss: t.Loss,
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    latent_dim: int,
    latent: t.LatentDistribution = jax.random.normal,
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
    counted_from: tuple[int, int] = (0, 0),
    terms: tuple[t.Term, ...] = (),
) -> t.GAN:
    """Makes a GAN of two networks and a loss: `init`, `step` and `sample`, pure functions for the caller to jit.

    Args:
        generator: maps latents `[B, latent_dim]` and labels `[B]`, or a condition, to images `[B, H, W, C]`.
        discriminator: maps images `[B, H, W, C]` and labels `[B]`, or a condition, to logits `[B]`, of packs of m `[B / m]`, of
            patches `[B, ...]`, or to a tuple of these, one for each scale; `core/logits.py` says what their mean is.
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
        counted_from: `(step, images)`, for a run that goes on with another batch size: images are counted as if `images` had
            been shown before step `step`, and each step since had shown as many as one does now.
        terms: further terms of G's loss, each a `Term`.

    Returns:
        A `GAN`. `step(state, batch, key)` cuts the batch into equal parts: one for each D update and, when the loss is
        relativistic, a fresh one for G's; "images shown" counts those shown to D in its own updates. The key is the
        run's and never changes. `info` tells of D's last update and of G's: losses, mean logits, `d_real` and `d_fake`,
        the means of sigmoid(logit), which are D(x) and D(G(z)) where D is a classifier, the penalty without its weight,
        the norms of both gradients, and each term under its name, without its weight. Where the batch holds a `condition`, any
        pytree of arrays `[B, ...]`, networks get it in the place of labels; augmentations leave it as it is.
        `sample(weights, key, labels)` maps latents by a generator's weights, `state.ema` where the average is wanted; image i
        depends on the key, its label or condition and `first + i` only. Labels are those of a batch or its condition; one
        class may stand for all of `n` images, and be left out where there are none. With `z [N, latent_dim]` it maps those
        latents instead. With a `truncation` psi, a generator that has a mapping takes its styles at `mean + psi (w - mean)`.

    Raises:
        ValueError: when a number is out of range; from `step` when the batch does not divide into its parts, or a part into
            microbatches.

    References:
        Goodfellow et al. 2014, Generative Adversarial Nets, equation 1 and algorithm 1.
    """
    game = checked(Game(**locals()))  # the arguments are the fields
    return t.GAN(partial(init, game), partial(step, game), partial(sample, game))


def init(game: Game, key: t.Key) -> t.GANState:
    """Draws both players' first weights; the averaged generator starts as a copy of G."""
    g_params, g_stats = fits.check_made("generator", game.generator.init(jax.random.fold_in(key, 0)), "init")
    d_params, d_stats = fits.check_made("discriminator", game.discriminator.init(jax.random.fold_in(key, 1)), "init")
    remembers = {"augment_strength": game.adaptive, "g_penalty": game.g_penalty}
    memory = {name: each.init() for name, each in remembers.items() if each is not None}
    return t.GANState(
        step=jnp.zeros((), jnp.int32),
        g=t.Player(g_params, g_stats, game.g_optimizer.init(g_params)),
        d=t.Player(d_params, d_stats, game.d_optimizer.init(d_params)),
        # A copy: leaves that share a buffer could not be donated.
        ema=jax.tree.map(jnp.copy, t.Weights(g_params, g_stats)),
        memory=memory,
    )


def step(game: Game, state: t.GANState, batch: t.Batch, key: t.Key) -> tuple[t.GANState, t.Info]:
    """Alternates: k updates of D with G held fixed, then one of G with D held fixed."""
    fits.check_state(state)
    d, g = state.d, state.g
    d_draws, g_draw = draws(game, state, batch, key)
    for draw in d_draws:  # not lax.scan: XLA's CPU convolutions lose their fast path inside a loop
        d, d_info = update(game, d_loss, game.d_optimizer, d, g, draw)
    d = lazily(game, penalty_loss, state.step, d, g, d_draws[-1])
    g, g_info = update(game, g_loss, game.g_optimizer, g, d, g_draw)
    g, lengths, path_info = smooth_paths(game, state, g, g_draw)
    strength, strength_info = steer(game, state, d_info, g_draw)
    ema = averaged(game, state.ema, g, g_draw)
    norms = {"d_grad_norm": d_info.pop("grad_norm"), "g_grad_norm": g_info.pop("grad_norm")}
    info = norms | d_info | g_info | path_info | strength_info
    return t.GANState(state.step + 1, g, d, ema, lengths | strength), info


def d_loss(game: Game, params: t.PyTree, d: t.Player, g: t.Player, draw: Draw) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
    """D's loss on real and generated images, with the penalty unless that is lazy.

    Returns:
        The loss, and D's new statistics with what is reported.
    """
    d = d._replace(params=params)
    fake = lax.stop_gradient(generate(game, g, draw)[0])
    both, stats = discriminate(game, d, interleave(draw.real, fake), draw)
    real_logits, fake_logits = logits.apart(both, 2, deal)
    value = logits.of_loss("d", game.loss.d, real_logits, fake_logits).mean()
    info = {"d_loss": value, "real_logits": logits.mean(real_logits).mean(), "fake_logits": logits.mean(fake_logits).mean()}
    info["d_real"] = logits.per_sample(jax.nn.sigmoid, real_logits).mean()  # D(x)
    info["d_fake"] = logits.per_sample(jax.nn.sigmoid, fake_logits).mean()  # D(G(z))
    if game.adaptive is not None:
        info["real_sign"] = logits.per_sample(jnp.sign, real_logits).mean()
    if game.penalty is not None and game.penalty_interval == 1:
        penalty, info["penalty"] = weighed(game, lambda x: logits.mean(discriminate(game, d, x, draw)[0]), fake, draw)
        value = value + penalty
    return value, (stats, info)


def penalty_loss(
    game: Game, params: t.PyTree, d: t.Player, g: t.Player, draw: Draw
) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
    """D's penalty as a loss of its own, times the interval at which it is used. D keeps its statistics."""
    fake = lax.stop_gradient(generate(game, g, draw)[0])
    moved = d._replace(params=params)
    penalty, unscaled = weighed(game, lambda x: logits.mean(discriminate(game, moved, x, draw)[0]), fake, draw)
    return game.penalty_interval * penalty, (d.stats, {"penalty": unscaled})


def g_loss(game: Game, params: t.PyTree, g: t.Player, d: t.Player, draw: Draw) -> tuple[jax.Array, tuple[t.PyTree, t.Info]]:
    """G's loss on its images as D, held fixed, judges them.

    Returns:
        The loss, and G's new statistics with what is reported.
    """
    fake, stats = generate(game, g._replace(params=params), draw)
    # In training mode, as in D's own step, or a D with batch normalisation would judge G by another function.
    # The real pass augments by draws of its own; XLA removes it where the loss does not use it.
    real_logits, _ = discriminate(game, d, draw.real, draw._replace(key=jax.random.fold_in(draw.key, 5)))
    fake_logits, _ = discriminate(game, d, fake, draw)
    value = logits.of_loss("g", game.loss.g, real_logits, fake_logits).mean()
    info = {"g_loss": value}
    if game.terms:

        def adversarial(x: t.Images) -> jax.Array:
            return logits.per_sample(game.loss.g, real_logits, discriminate(game, d, x, draw)[0]).mean()

        further, told = weighed_terms(
            game,
            fake,
            draw,
            features=lambda real, x: features(game, d, real, x, draw),
            adversarial=adversarial,
            made_by=lambda params: generate(game, g._replace(params=params), draw)[0],
            params=params,
        )
        value, info = value + further, info | told
    return value, (stats, info)


def generate(game: Game, g: t.Player, draw: Draw) -> tuple[t.Images, t.PyTree]:
    """G's images `[B, ...]` of the latents drawn, and its new statistics."""
    with fits.told("generator", "latents", draw.z):
        made = game.generator.apply(g.params, g.stats, draw.z, draw.labels, jax.random.fold_in(draw.key, 0), train=True)
    fake, stats = fits.check_made("generator", made)
    fits.check_images(fake, draw.real)
    return fake, stats


def features(game: Game, d: t.Player, real: t.Images, fake: t.Images, draw: Draw) -> dict[str, t.PyTree]:
    """D's features of real and of generated images as it sees them in G's loss; none where it has no such function."""
    if (of := game.discriminator.features) is None:
        return {}
    found = {}
    # Each with the draws of its own pass through D, so that XLA computes the two together.
    for name, x, key in (("real", real, jax.random.fold_in(draw.key, 5)), ("fake", fake, draw.key)):
        x = augmented(game, x, key, draw)
        found[f"{name}_features"] = of(d.params, d.stats, x, draw.labels, jax.random.fold_in(key, 2), train=True)
    return found


def augmented(game: Game, x: t.Images, key: t.Key, draw: Draw) -> t.Images:
    """Images as D sees them."""
    if game.augment is None:
        return x
    return fits.check_augmented(game.augment(jax.random.fold_in(key, 1), x, draw.strength), x)


def discriminate(game: Game, d: t.Player, x: t.Images, draw: Draw) -> tuple[t.Judgement, t.PyTree]:
    """D's logits `[kB]` on k interleaved batches `[kB, ...]`, augmented, and its new statistics."""
    x = augmented(game, x, draw.key, draw)
    network, k, d_key = game.discriminator, x.shape[0] // draw.z.shape[0], jax.random.fold_in(draw.key, 2)
    repeated = draw.labels if network.depends_on_batch else jax.tree.map(lambda c: jnp.repeat(c, k, axis=0), draw.labels)
    # Apart where a batch is judged as a whole: real and fake have batch statistics of their own.
    batches = jnp.unstack(deal(x, k)) if network.depends_on_batch else (x,)
    found, stats = [], d.stats
    for batch in batches:
        with fits.told("discriminator", "images", batch):
            made = network.apply(d.params, stats, batch, repeated, d_key, train=True)
        y, stats = fits.check_made("discriminator", made)
        fits.check_logits(y, batch)
        found.append(y)
    return jax.tree.map(interleave, *found) if network.depends_on_batch else found[0], stats


def sample(
    game: t.Draws,
    weights: t.Weights | t.GANState,
    key: t.Key,
    labels: t.Labels | t.Condition | int | None = None,
    *,
    n: int | None = None,
    z: t.Latents | None = None,
    first: int | jax.Array = 0,
    truncation: float | None = None,
) -> t.Images:
    """Maps latents to images `[N, ...]` in test mode, see `make_gan`.

    Raises:
        ValueError: when labels, n and z disagree; when a truncation is given, but the generator has no mapping.
    """
    fits.check_key(key)
    given = one_each(labels, n, z)
    if z is None:
        index = first + jnp.arange(jax.tree.leaves(given)[0].shape[0])
        z = jax.vmap(lambda i: game.latent(jax.random.fold_in(key, i), (game.latent_dim,)))(index)
    fits.check_latents(z, game.latent_dim)
    generator, noise_key = game.generator, jax.random.fold_in(key, 2**32 - 1)  # z is drawn from those of the indices
    params, stats = fits.weights_of(weights)
    if truncation is None:
        return fits.check_made("generator", generator.apply(params, stats, z, given, noise_key, train=False))[0]
    if generator.map is None or generator.synthesize is None:
        raise FieldError("truncation", truncation, "this generator has no mapping network; truncate z instead")
    w, _ = generator.map(params, stats, z, given, noise_key, train=False, truncation=truncation)
    return generator.synthesize(params, stats, w, noise_key, train=False)
