# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How a GAN learns
#
# A lecture on generative adversarial networks makes five claims:
#
# 1. for a fixed generator the best discriminator is $p / (p + p_g)$;
# 2. the value of the game is least, $-\log 4$, where the generated density $p_g$ equals the data's $p$;
# 3. there $D = \tfrac12$ everywhere, and $D$'s loss is $2 \log 2$;
# 4. alternating updates get there;
# 5. the latent space is smooth.
#
# Here each one is tested on points of a line, where $p$ and $p / (p + p_g)$ are known exactly; three exercises follow. A
# minute on two idle CPU cores.
# [Open in Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/1_how_a_gan_learns.ipynb).

# %%
try:
    import jaxgan
except ImportError:  # on Colab, or in any other environment without it
    # %pip install -q "jaxgan @ git+https://github.com/jaxgan/jaxgan"
    import jaxgan

# %%
import math
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import Markdown

from jaxgan import toy
from jaxgan.core import latents, losses, penalties, schedules
from jaxgan.nets import mlp

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs


def steps(count):
    return min(count, 50) if SMOKE else count


REAL, FAKE, D_COLOUR = "#666666", "#d6604d", "#2166ac"
plt.rcParams.update(
    {"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False}
)

# %% [markdown]
# ## The game
#
# A generator $G$ maps noise $z \sim N(0, 1)$ to a point $G(z)$; the density of these points is $p_g$. A discriminator
# $D(x) \in (0, 1)$ says how likely $x$ seems to be real. $D$ wants the value
#
# $$V(D, G) = \mathbb{E}_{x \sim p}[\log D(x)] + \mathbb{E}_{z}[\log(1 - D(G(z)))]$$
#
# large, and $G$ wants it small. $D$ is a network that returns a *logit* $l(x)$, and $D(x) = \sigma(l(x))$ with the sigmoid
# $\sigma(l) = 1 / (1 + e^{-l})$.
#
# The three in a picture. Noise becomes a point, and $D$ is shown that point or a real one, without being told which:

# %%
figure, axes = plt.subplots(figsize=(8, 2.2), layout="constrained")
box = {"boxstyle": "round,pad=0.5", "fc": "white", "lw": 1.5}
for name, place, colour in (
    ("noise $z$", (0, 1), "black"),
    ("$G$", (2, 1), FAKE),
    ("$G(z)$", (4, 1), FAKE),
    ("real $x$", (4, 0), REAL),
    ("$D$", (6, 0.5), D_COLOUR),
    ("$D(G(z))$ or $D(x)$,\nin $(0, 1)$", (8.2, 0.5), D_COLOUR),
):
    axes.text(*place, name, ha="center", va="center", bbox=box | {"ec": colour}, fontsize=12)
for start, end in (
    ((0.55, 1), (1.7, 1)),
    ((2.3, 1), (3.45, 1)),
    ((4.6, 0.95), (5.7, 0.6)),
    ((4.6, 0.05), (5.7, 0.4)),
    ((6.3, 0.5), (7.1, 0.5)),
):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.5})
axes.set(xlim=(-0.8, 9.3), ylim=(-0.5, 1.5))
axes.set_axis_off()
plt.show()

# %% [markdown]
# The data are a mixture of two Gaussians. Until the section on the alternation $G$ is fixed, and its points follow one wide
# Gaussian. `LINE` is an even grid on which the expectations are sums.

# %%
DATA = toy.gaussian_mixture([-1.5, 1.5], sigma=0.5, weights=[0.4, 0.6])  # p
WIDE = toy.gaussian_mixture([0.5], sigma=1.2)  # p_g
LINE = toy.quadrature([-8.0], [8.0], 1_600)
HELD_OUT = 20_000
held_out = DATA.sample(jax.random.key(10), HELD_OUT)  # no training below sees these

for name, critic in {
    "D = 1/2 everywhere": lambda x: 0.0 * x[:, 0],
    "D = s(1 - x), a guess": lambda x: 1.0 - x[:, 0],
    "D = p / (p + p_g)": toy.optimal_logit(DATA, WIDE),
}.items():
    print(f"V = {toy.value_function(critic, DATA, WIDE, LINE):7.4f}   for {name}")
print(f"    {-math.log(4):7.4f}   is -log 4")

# %% [markdown]
# ## The best discriminator
#
# At one point $x$, $D$ chooses a number $d$ to make $p(x) \log d + p_g(x) \log(1 - d)$ large. The derivative
# $p(x) / d - p_g(x) / (1 - d)$ is zero at
#
# $$D^*(x) = \frac{p(x)}{p(x) + p_g(x)}.$$
#
# $D$ does not know the densities. It sees samples, and descends its loss, $-V$ estimated on a batch:
# `losses.non_saturating.d`, $-\log D(x) - \log(1 - D(G(z)))$. Does a network find the exact answer?

# %%
discriminator = jaxgan.from_linen(mlp.Discriminator(hidden=(64, 64)), jnp.zeros((1, 1)))
BATCH, D_STEPS = 256, steps(4_000)


def logit(params, x):
    return discriminator.apply(params, {}, x, None, jax.random.key(0), train=False)[0]


judge = jax.jit(logit)


def train_discriminator(draw_fake, key, count):
    """A new D against a fixed source of generated points; G plays no part."""
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, D_STEPS), b1=0.5)

    def loss(params, real, fake):
        return losses.non_saturating.d(logit(params, real), logit(params, fake)).mean()

    def step(i, carry):
        params, opt = carry
        real_key, fake_key = jax.random.split(jax.random.fold_in(key, i))
        grads = jax.grad(loss)(params, DATA.sample(real_key, BATCH), draw_fake(fake_key, BATCH))
        change, opt = optimizer.update(grads, opt)
        return optax.apply_updates(params, change), opt

    params, _ = discriminator.init(key)
    return jax.lax.fori_loop(0, count, step, (params, optimizer.init(params)))[0]


alone = jax.jit(lambda count: train_discriminator(WIDE.sample, jax.random.key(0), count))
stages = [count for count in (0, 30, 200) if count < D_STEPS] + [D_STEPS]
trained = [alone(count) for count in stages]

# %%
x = LINE.points
p, p_g = (np.exp(np.asarray(density.log_density(x))) for density in (DATA, WIDE))
exact = np.asarray(toy.optimal_discriminator(DATA, WIDE)(x))
has_mass = (p + p_g) / 2 > 0.01

figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
for i, (count, params) in enumerate(zip(stages, trained, strict=True)):
    curve = np.asarray(jax.nn.sigmoid(judge(params, x)))
    top.plot(x, curve, color=plt.cm.Blues(0.3 + 0.6 * i / (len(stages) - 1)), label=f"trained, {count:,} steps")
    print(f"{count:5,d} steps: mean |D - D*| where there is mass {np.abs(curve - exact)[has_mass].mean():.4f}")
top.plot(x, exact, color="black", ls="--", label="$D^* = p / (p + p_g)$, exact")
top.set(title="A discriminator trained alone finds the best answer", ylabel="$D(x)$, probability", ylim=(-0.03, 1.03))
fixed = WIDE.sample(jax.random.key(1), HELD_OUT)
for density, points, colour, name in ((p, held_out, REAL, "real, $p$"), (p_g, fixed, FAKE, "generated, $p_g$")):
    label = f"{HELD_OUT:,} samples"
    bottom.hist(np.asarray(points)[:, 0], bins=80, range=(-4, 5), density=True, color=colour, alpha=0.3, label=label)
    bottom.plot(x, density, color=colour, label=name)
bottom.set(title="The densities it has to tell apart", xlabel="$x$", ylabel="density", xlim=(-4, 5))
for axes in (top, bottom):
    axes.fill_between(
        x[:, 0],
        0,
        1,
        where=~has_mass,
        color="black",
        alpha=0.05,
        lw=0,
        transform=axes.get_xaxis_transform(),
        label="little mass",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
plt.show()

# %% [markdown]
# Where neither density has mass (shaded), $D$ was never asked, and its answer there means nothing.
#
# ## What the best answer is worth
#
# Put $D^*$ into $V$: with the Jensen-Shannon divergence $\mathrm{JS}(p, p_g) = \tfrac12 \mathrm{KL}(p \,\|\, m) + \tfrac12
# \mathrm{KL}(p_g \,\|\, m)$ and $m = (p + p_g) / 2$,
#
# $$\max_D V(D, G) = 2\,\mathrm{JS}(p, p_g) - \log 4 .$$
#
# So against a perfect $D$, $G$ minimises the Jensen-Shannon divergence. It is zero only where $p_g = p$; there $V = -\log 4$.
# Below, $p_g$ slides over $p = N(0, 0.5^2)$ while keeping its width.

# %%
still = toy.gaussian_mixture([0.0], sigma=0.5)
shifts = np.linspace(-4.0, 4.0, 33)
moved = [toy.gaussian_mixture([shift], sigma=0.5) for shift in shifts]
values = np.array([toy.value_function(toy.optimal_logit(still, q), still, q, LINE) for q in moved])
divergences = np.array([toy.jensen_shannon(still, q, LINE) for q in moved])
print(f"largest difference between V(D*) and 2 JS - log 4: {np.abs(values - (2 * divergences - math.log(4))).max():.1e}")

figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.plot(shifts, 2 * divergences - math.log(4), color=REAL, label=r"$2\,\mathrm{JS}(p, p_g) - \log 4$")
axes.plot(shifts, values, "o", color=D_COLOUR, ms=4, label="$V(D^*, G)$")
axes.axhline(-math.log(4), color="black", ls="--", lw=1, label=r"$-\log 4 = -1.386$, at $p_g = p$")
axes.axhline(0, color="black", ls=":", lw=1, label="0, nothing in common")
axes.set(title="The value of the game against the best discriminator", xlabel="shift of $p_g$ from $p$", ylabel="value, nats")
axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
plt.show()

# %% [markdown]
# Far away the curve is flat: a perfect $D$ leaves $G$ no slope to descend. That is the next section's trouble.
#
# ## What the generator descends
#
# The game as written makes $G$ descend $\log(1 - D(G(z)))$, `losses.minimax.g`. In practice it descends $-\log D(G(z))$,
# `losses.non_saturating.g`. Both fall as $D(G(z))$ rises; with $l$ the logit of a generated point their slopes are
#
# $$\frac{\partial}{\partial l} \log(1 - \sigma(l)) = -\sigma(l), \qquad
# \frac{\partial}{\partial l}\bigl(-\log \sigma(l)\bigr) = -(1 - \sigma(l)).$$

# %%
logits = jnp.linspace(-8.0, 8.0, 200)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, loss, style in (("saturating, minimax", losses.minimax, "--"), ("non-saturating", losses.non_saturating, "-")):
    slope = jax.grad(lambda fake, loss=loss: loss.g(fake, fake).sum())(logits)
    left.plot(logits, loss.g(logits, logits), color=FAKE, ls=style, label=name)
    right.plot(logits, slope, color=FAKE, ls=style, label=name)
left.set(title="$G$'s loss", xlabel="logit $l$ of a generated point", ylabel="loss, nats")
right.set(title="and its slope", xlabel="logit $l$ of a generated point", ylabel="d loss / d logit")
for axes in (left, right):
    axes.axvspan(-8, -3, color="black", alpha=0.05, lw=0, label=r"$D$ is sure: generated")
    axes.axvline(0, color="black", lw=1, ls=":", label=r"$D = \frac{1}{2}$")
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
plt.show()

# %% [markdown]
# Early in training $D$ has an easy task and is sure: $l$ is far below zero. There the saturating slope has vanished
# ($-\sigma(l) \approx -e^{l}$), and the other is at its steepest, $-1$. At $D = \tfrac12$ both are $-\tfrac12$, and the
# equilibrium is the same.
#
# How large is the difference? Below are means over generated points, against the best $D$, as $p_g$ moves away:

# %%
rows = ["| shift | mean $D^*(G(z))$ | slope, saturating | slope, non-saturating |", "|---:|---:|---:|---:|"]
for shift in (0.0, 1.0, 2.0, 3.0, 4.0):
    q = toy.gaussian_mixture([shift], sigma=0.5)
    best = toy.optimal_logit(still, q)(LINE.points)
    means = [jax.nn.sigmoid(best)]
    means += [
        jax.grad(lambda fake, loss=loss: loss.g(fake, fake).sum())(best) for loss in (losses.minimax, losses.non_saturating)
    ]
    mass = jnp.exp(q.log_density(LINE.points)) * LINE.volume
    rows.append(f"| {shift:.0f} | " + " | ".join(f"{(mass * each).sum():.2g}" for each in means) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# ## The generator alone
#
# The other half of the game: now $D$ is held fixed, at its best answer to the wide $p_g$ from above, and $G$ alone moves down
# $-\log D(G(z))$. Nothing in this loss asks for variety.

# %%
generator = jaxgan.from_linen(mlp.Generator(hidden=(64, 64), output_shape=(1,)), jnp.zeros((1, 1)))
FIXED_D = trained[-1]  # never updated below


def generate(params, z):
    return generator.apply(params, {}, z, None, jax.random.key(0), train=False)[0]


@jax.jit
def train_generator(count):
    optimizer = optax.adam(2e-3, b1=0.5)

    def loss(params, z):
        return losses.non_saturating.g(None, logit(FIXED_D, generate(params, z))).mean()

    def step(i, carry):
        params, opt = carry
        z = jax.random.normal(jax.random.fold_in(jax.random.key(2), i), (BATCH, 1))
        change, opt = optimizer.update(jax.grad(loss)(params, z), opt)
        return optax.apply_updates(params, change), opt

    params, _ = generator.init(jax.random.key(1))
    return jax.lax.fori_loop(0, count, step, (params, optimizer.init(params)))[0]


figure, panels = plt.subplots(1, 4, figsize=(12, 3), sharex=True, sharey=True, layout="constrained")
for axes, count in zip(panels, (0, 50, 200, 2_000), strict=True):
    made = np.asarray(generate(train_generator(steps(count)), jax.random.normal(jax.random.key(3), (HELD_OUT, 1))))[:, 0]
    axes.plot(x, p, color=REAL, label="$p$, real")
    axes.hist(made, bins=90, range=(-4, 4), density=True, color=FAKE, alpha=0.5, label="$p_g$")
    axes.plot(x, jax.nn.sigmoid(judge(FIXED_D, x)), color=D_COLOUR, label="$D(x)$, held fixed")
    axes.set(title=f"{count:,} steps of $G$", xlabel="$x$", xlim=(-4, 4), ylim=(0, 1.25))
    sure = float(jax.nn.sigmoid(judge(FIXED_D, jnp.asarray(made)[:, None])).mean())
    distance = np.abs(np.sort(np.asarray(held_out)[:, 0]) - np.sort(made)).mean()
    print(f"{count:5,d} steps: mean D(G(z)) {sure:.2f}, Wasserstein distance from the data {distance:.2f}")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure.suptitle("A generator trained alone runs to where D is largest (bars taller than 1.25 are cut)")
plt.show()

# %% [markdown]
# The points climb to the two peaks of $D$ and gather there. For a while they come nearer to the data, then they go too far: $G$
# has answered *this* $D$, and the data are not two spikes. $D$ has to answer in its turn, and so the two alternate.
#
# ## The alternation
#
# Now both learn. One step is Algorithm 1 of Goodfellow et al. (2014): $D$ moves down its loss while $G$ is held fixed, then
# $G$ moves down its own while $D$ is held fixed. `jaxgan.make_gan` makes three pure functions of two networks and a loss:
# `init`, `step`, `sample`. Added to $D$'s loss is a penalty, R1 + R2: $\tfrac{\gamma}{2}\,|\partial l / \partial x|^2$ on
# real and on generated points. What it is for is shown under *Why the alternation can circle*.

# %%
G_STEPS = steps(4_000)
rate = schedules.cosine(2e-3, 1e-5, G_STEPS * BATCH)  # time is counted in samples shown


def adam():
    return schedules.scheduled(optax.adam, learning_rate=rate, b1=0.0, b2=0.99)


gan = jaxgan.make_gan(
    generator=generator,
    discriminator=discriminator,
    loss=losses.non_saturating,
    penalty=penalties.r1_r2,
    gamma=1.0,
    g_optimizer=adam(),
    d_optimizer=adam(),
    latent_dim=1,
    ema_half_life=0.0,  # show the generator that plays, not its average
)
KEY = jax.random.key(0)


@jax.jit
def play(state):
    def body(state, _):
        real = DATA.sample(jax.random.fold_in(jax.random.fold_in(KEY, 1), state.step), BATCH)
        return gan.step(state, {"image": real, "label": jnp.zeros(BATCH, jnp.int32)}, KEY)

    return jax.lax.scan(body, state, None, length=25)  # 25 steps in one program


sample = jax.jit(gan.sample, static_argnames="n")


def value_of(state):
    """V on points that were not trained on."""
    fake = sample(state.ema, jax.random.key(11), jnp.zeros(HELD_OUT, jnp.int32))
    return -float(losses.non_saturating.d(judge(state.d.params, held_out), judge(state.d.params, fake)).mean())


state = jax.jit(gan.init)(KEY)
snapshots, history = {0: state}, []
for count in range(25, G_STEPS + 1, 25):
    state, info = play(state)
    history.append(info)
    if count in (25, 75, 200, 800, G_STEPS):
        snapshots[count] = state
history = {name: np.concatenate([np.asarray(info[name]) for info in history]) for name in history[0]}

# %%
figure, panels = plt.subplots(2, 3, figsize=(11, 6), sharex=True, sharey=True, layout="constrained", squeeze=False)
for axes, (count, seen) in zip(panels.flat, snapshots.items(), strict=False):
    fake = np.asarray(sample(seen.ema, jax.random.key(12), jnp.zeros(HELD_OUT, jnp.int32)))[:, 0]
    axes.plot(x, p, color=REAL, label="$p$, real")
    axes.hist(fake, bins=90, range=(-4, 4), density=True, color=FAKE, alpha=0.5, label=f"$p_g$, {HELD_OUT:,} samples")
    axes.plot(x, jax.nn.sigmoid(judge(seen.d.params, x)), color=D_COLOUR, label="$D(x)$")
    axes.axhline(0.5, color=D_COLOUR, lw=0.8, ls="--", label=r"$\frac{1}{2}$")
    axes.set(title=f"step {count:,}: $V$ = {value_of(seen):.3f}", xlim=(-4, 4), ylim=(0, 1.25))
for axes in panels.flat[len(snapshots) :]:
    axes.set_axis_off()
for axes in panels[-1]:
    axes.set_xlabel("$x$")
for axes in panels[:, 0]:
    axes.set_ylabel("density, probability")
figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure.suptitle("The alternation, step by step (bars taller than 1.25 are cut)")
plt.show()

# %% [markdown]
# $D$ rises where there are more data than generated points; $G$ moves its points up that slope; where it puts too many, $D$
# falls again. (Below $-\log 4$, $D$ does worse than a guess of $\tfrac12$: its first weights are random.)
#
# ## The equilibrium
#
# At the end $D$ should not be able to tell. On points that no step has seen:

# %%
fake = sample(state.ema, jax.random.key(11), jnp.zeros(HELD_OUT, jnp.int32))
verdicts = jax.nn.sigmoid(judge(state.d.params, jnp.concatenate([held_out, fake])))
value = value_of(state)
distance = float(jnp.abs(jnp.sort(held_out, axis=0) - jnp.sort(fake, axis=0)).mean())
floor = float(jnp.abs(jnp.sort(held_out, axis=0) - jnp.sort(DATA.sample(jax.random.key(13), HELD_OUT), axis=0)).mean())
Markdown(f"""
| on {HELD_OUT:,} held-out points | theory | reached | distance |
|---|---:|---:|---:|
| $D$'s loss | $2 \\log 2 = {2 * math.log(2):.4f}$ | {-value:.4f} | {abs(-value - 2 * math.log(2)):.4f} |
| value $V$ | $-\\log 4 = {-math.log(4):.4f}$ | {value:.4f} | {abs(value + math.log(4)):.4f} |
| mean $\\lvert D - \\frac12 \\rvert$ | 0 | {jnp.abs(verdicts - 0.5).mean():.4f} | {jnp.abs(verdicts - 0.5).mean():.4f} |
| Wasserstein distance of $p_g$ from $p$ | 0; perfect samples {floor:.4f} | {distance:.4f} | |
""")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
count = np.arange(1, len(history["d_loss"]) + 1)
left.plot(count, history["d_loss"], color=D_COLOUR, lw=0.8, label="$D$'s loss on its batch")
left.axhline(2 * math.log(2), color="black", ls="--", lw=1, label=r"$2 \log 2$")
left.set(title="$D$'s loss goes to $2 \\log 2$", ylabel="loss, nats")
right.plot(count, history["d_real"], color=REAL, lw=0.8, label="mean $D(x)$, real")
right.plot(count, history["d_fake"], color=FAKE, lw=0.8, label="mean $D(G(z))$, generated")
right.axhline(0.5, color="black", ls="--", lw=1, label=r"$\frac{1}{2}$")
right.set(title="and $D$ to $\\frac{1}{2}$ on both", ylabel="probability")
for axes in (left, right):
    axes.set_xscale("log")
    axes.set_xlabel("step (logarithmic)")
    axes.legend(fontsize=9)
plt.show()

# %% [markdown]
# $D = \tfrac12$ alone proves little: a $D$ that had learnt nothing would say the same. Two tests do not depend on this $D$.
#
# *A new discriminator*, trained from nothing against the finished $G$, with every step to itself; and against the $G$ of the
# start, to see that it can.
#
# *The Jensen-Shannon divergence*, estimated. $p_g$ has no formula, but 2,000 of its samples, each blurred by a Gaussian of
# width $h$, are a mixture that has one; $p$ blurred by $h$ has one too. Samples of $p$ itself, treated alike, give the floor.

# %%
newcomer = jax.jit(
    lambda state, key: train_discriminator(lambda k, n: gan.sample(state.ema, k, jnp.zeros(n, jnp.int32)), key, D_STEPS)
)
for name, seen in (("at the start", snapshots[0]), ("at the end", state)):
    params = newcomer(seen, jax.random.key(20))
    points = sample(seen.ema, jax.random.key(11), jnp.zeros(HELD_OUT, jnp.int32))
    loss = float(losses.non_saturating.d(judge(params, held_out), judge(params, points)).mean())
    print(f"a new D against G {name}: loss {loss:.4f}, 2 log 2 - loss = {2 * math.log(2) - loss:.4f}")

H = 0.1
blurred = toy.gaussian_mixture(DATA.centres, math.hypot(DATA.sigma, H), DATA.weights)
for name, points in {
    "G at the start": sample(snapshots[0].ema, jax.random.key(14), jnp.zeros(HELD_OUT, jnp.int32))[:2_000],
    "G at the end": sample(state.ema, jax.random.key(14), jnp.zeros(HELD_OUT, jnp.int32))[:2_000],
    "p itself, the floor": DATA.sample(jax.random.key(14), HELD_OUT)[:2_000],
}.items():
    found = toy.jensen_shannon(blurred, toy.gaussian_mixture(points, H), LINE)
    print(f"JS(p, p_g) of {name}: {found:.4f} nats, of at most log 2 = {math.log(2):.4f}")

# %% [markdown]
# ## Afterwards D is dropped
#
# What is kept is $G$: draw $z$, and $G(z)$ is a new point. `gan.sample` takes the generator's weights and a key, and nothing of
# $D$.

# %%
weights = state.ema  # G's alone
del state, snapshots  # and with them every D
print(np.asarray(sample(weights, jax.random.key(30), n=8))[:, 0].round(2))
print(f"G has {sum(each.size for each in jax.tree.leaves(weights)):,} numbers; p has mean 0.30, and these points", end=" ")
print(f"{np.asarray(sample(weights, jax.random.key(31), n=HELD_OUT)).mean():.2f}")

# %% [markdown]
# ## How many steps for D, and which loss
#
# Algorithm 1 lets $D$ make $k$ steps to each one of $G$, and $G$'s loss there is $\log(1 - D(G(z)))$, the literal minimax game.
# Both choices are arguments: `disc_steps` and `loss`. Below, the distance of $p_g$ from $p$ after so many steps of $G$.

# %%
MARKS = [steps(count) for count in (100, 400, 2_000)]


def alternate(loss, *, k=1, gamma=1.0):
    """Trains a GAN anew; returns the Wasserstein distance of its points from the data at each mark, and V at the end."""
    game = jaxgan.make_gan(
        generator=generator,
        discriminator=discriminator,
        loss=loss,
        penalty=penalties.r1_r2,
        gamma=gamma,
        disc_steps=k,
        g_optimizer=adam(),
        d_optimizer=adam(),
        latent_dim=1,
        ema_half_life=0.0,
    )

    def play(i, state):
        real = DATA.sample(jax.random.fold_in(jax.random.fold_in(KEY, 1), i), k * BATCH)
        return game.step(state, {"image": real}, KEY)[0]

    advance = jax.jit(lambda state, start, end: jax.lax.fori_loop(start, end, play, state))
    state, made, found = game.init(KEY), 0, []
    for mark in MARKS:
        state, made = advance(state, made, mark), mark
        points = game.sample(state.ema, jax.random.key(11), n=HELD_OUT)
        found.append(float(jnp.abs(jnp.sort(held_out, axis=0) - jnp.sort(points, axis=0)).mean()))
    return found, -float(losses.non_saturating.d(judge(state.d.params, held_out), judge(state.d.params, points)).mean())


rows = [
    "| $G$ descends | $k$ | " + " | ".join(f"distance after {mark:,}" for mark in MARKS) + " | $V$ at the end |",
    "|---|---:|---:|---:|---:|---:|",
]
for name, loss, k in (
    ("$-\\log D(G(z))$, non-saturating", losses.non_saturating, 1),
    ("$-\\log D(G(z))$, non-saturating", losses.non_saturating, 5),
    ("$\\log(1 - D(G(z)))$, minimax", losses.minimax, 1),
    ("$\\log(1 - D(G(z)))$, minimax", losses.minimax, 5),
):
    found, value = alternate(loss, k=k)
    rows.append(f"| {name} | {k} | " + " | ".join(f"{each:.3f}" for each in found) + f" | {value:.3f} |")
Markdown("\n".join(rows))

# %% [markdown]
# With the penalty both losses come to the equilibrium here. On a line the two players are well matched: $D$ is seldom so sure
# that the minimax slope vanishes. With $k = 5$, $D$ sees five times as many points for each step of $G$; the sharper $D$ holds
# $G$ up at first, and brings it nearer in the end. On images, where $D$ wins early, it is the non-saturating loss that keeps
# $G$ moving.
#
# ## Why the alternation can circle
#
# It was not certain that the alternation would converge. The smallest GAN (Mescheder et al. 2018) has its data at $0$, a
# generator that makes the single point $\theta$, and a discriminator with the logit $l(x) = \psi x$. The equilibrium is
# $\theta = \psi = 0$. Near it, both players descending at once move as a linear system $\dot{u} = A u$ with
# $u = (\theta, \psi)$: they converge if both eigenvalues of $A$ have a negative real part; if those are imaginary, they circle.

# %%
GAMMA = 0.5
objectives = {
    "minimax": losses.minimax,
    "non-saturating": losses.non_saturating,
    "relativistic": losses.relativistic,
    "hinge": losses.hinge,
    "Wasserstein": losses.wasserstein,
}
chosen = {"no penalty": None, "R1": penalties.r1, "R1 + R2": penalties.r1_r2}


def told(eigenvalues):
    real, imaginary = eigenvalues.real.round(6) + 0.0, np.abs(eigenvalues.imag).max()  # no minus zero
    values = (
        f"${real[0]:.2f} \\pm {imaginary:.2f} i$" if imaginary > 1e-6 else ", ".join(f"${value:.2f}$" for value in sorted(real))
    )
    return values + (" comes in" if real.max() < -1e-6 else " circles" if imaginary > 1e-6 else "")


rows = ["| eigenvalues | " + " | ".join(chosen) + " |", "|---" * (1 + len(chosen)) + "|"]
for name, loss in objectives.items():
    found = [toy.dirac_gan(loss, penalty, gamma=GAMMA).eigenvalues for penalty in chosen.values()]
    rows.append(f"| {name} | " + " | ".join(told(each) for each in found) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# Without a penalty every objective circles, and with a gradient penalty each one converges. With R1 the eigenvalues of the
# logistic losses are $-\tfrac{\gamma}{2} \pm \sqrt{\tfrac{\gamma^2}{4} - \tfrac14}$; here $\gamma = 0.5$. The same in a
# picture, for the minimax game and alternating updates with learning rate 0.1:

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 5.2), sharex=True, sharey=True, layout="constrained")
ticks = np.linspace(-2.0, 2.0, 17)
mesh = np.stack(np.meshgrid(ticks, ticks), axis=-1)
for axes, (name, penalty) in zip(panels, {"no penalty": None, "R1": penalties.r1}.items(), strict=True):
    field = jax.jit(toy.dirac_gan(losses.minimax, penalty, gamma=GAMMA).field)
    points = [np.array([1.3, 0.0])]
    for _ in range(400):
        theta, psi = points[-1]
        psi = psi + 0.1 * float(field(jnp.array([theta, psi]))[1])  # D, then
        theta = theta + 0.1 * float(field(jnp.array([theta, psi]))[0])  # G
        points.append(np.array([theta, psi]))
    way = np.array(points)
    arrows = np.asarray(jax.vmap(field)(jnp.asarray(mesh.reshape(-1, 2), jnp.float32))).reshape(mesh.shape)
    axes.quiver(
        mesh[..., 0], mesh[..., 1], arrows[..., 0], arrows[..., 1], color="#bbbbbb", width=0.003, label="velocity of both"
    )
    axes.plot(way[:, 0], way[:, 1], color=D_COLOUR, lw=1.2, label="400 steps")
    axes.plot(*way[0], "o", color=FAKE, label="start")
    axes.plot(0, 0, "k+", ms=10, label="equilibrium")
    axes.set(title=f"Dirac-GAN, minimax, {name}", xlabel=r"$\theta$, the generated point", aspect="equal")
    start, end = np.linalg.norm(way[[0, -1]], axis=1)
    print(f"{name}: distance from the equilibrium {start:.2f} at the start, {end:.4f} after 400 steps")
panels[0].set_ylabel(r"$\psi$, the slope of $D$'s logit")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# ## The latent space is smooth
#
# $G$ is continuous, so a walk in $z$ is a walk in $x$ without a jump, even through the valley between the two modes, where it
# is fast. One increasing map and one decreasing map take $N(0, 1)$ exactly to $p$: $G(z) = F^{-1}(\Phi(\pm z))$, with $\Phi$
# and $F$ the two distribution functions. The one that $G$ came near is drawn dashed.

# %%
ends = jnp.array([[-3.0], [3.0]])  # z_0 and z_1
z = latents.walk(ends, frames=1_601, path=latents.lerp)
way = np.asarray(sample(weights, KEY, z=z))[:, 0]
at = np.asarray(z)[:, 0]
rises = bool(way[-1] > way[0])
share = np.asarray(jax.scipy.stats.norm.cdf(at if rises else -at))
ideal = np.interp(share, np.cumsum(p) * LINE.volume, np.asarray(x)[:, 0] + 0.5 * LINE.volume)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, width_ratios=(3, 1), layout="constrained")
left.plot(at, way, color=FAKE, label="$G(z)$")
left.plot(at, ideal, color="black", ls="--", lw=1, label="$F^{-1}(\\Phi(" + ("z" if rises else "-z") + "))$, exact")
left.set(title="A walk through latent space", xlabel="$z$, from $z_0 = -3$ to $z_1 = 3$", ylabel="$x$")
right.plot(p, x, color=REAL, label="$p$")
right.set(title="Where the data are", xlabel="density", ylim=(-4, 4))
for axes in (left, right):
    axes.legend(fontsize=9)
plt.show()
for stride in (8, 4, 2, 1):
    moves = np.abs(np.diff(way[::stride]))
    print(f"{len(moves):5,d} steps of the walk: the longest moves x by {moves.max():.3f}")

# %% [markdown]
# Half the step in $z$, half the longest step in $x$: the map has a finite slope everywhere.
#
# ## Exercises
#
# Think first; each answer is a cell that can be run.
#
# **1.** $D$ is shown two real points for each generated one. What is the best $D$ now, and what is it at $p_g = p$?
#
# **2.** $z$ is one number, and $G$ is continuous. Can $p_g$ be exactly zero between the two modes of the data? What does $G$ do
# instead?
#
# **3.** In the Dirac-GAN of the minimax game with R1, how large must $\gamma$ be for the players to converge without circling
# at all? The eigenvalues above have a formula.

# %% [markdown]
# **Answer 1.** $D$ makes $2 p \log d + p_g \log(1 - d)$ large, so $D^* = 2p / (2p + p_g)$; at $p_g = p$ it is $\tfrac23$, no
# longer $\tfrac12$. On a grid of values $d$ at the point where $p = p_g = 0.3$:

# %%
d = np.linspace(0.001, 0.999, 999)
print(f"the best d is {d[np.argmax(2 * 0.3 * np.log(d) + 0.3 * np.log(1 - d))]:.3f}")

# %% [markdown]
# **Answer 2.** No: between $G(z_0)$ on the left and $G(z_1)$ on the right a continuous $G$ takes every value. It can cross the
# valley fast, and few points then fall there. Of $p$ and of $p_g$, the share within 0.3 of the middle of the valley, $x = 0$:

# %%
points = np.asarray(sample(weights, jax.random.key(31), n=HELD_OUT))
for name, each in (("p", np.asarray(held_out)), ("p_g", points)):
    print(f"{name:>3}: {(np.abs(each) < 0.3).mean():.4f}")

# %% [markdown]
# **Answer 3.** The eigenvalues $-\tfrac{\gamma}{2} \pm \sqrt{\tfrac{\gamma^2}{4} - \tfrac14}$ are real from $\gamma = 1$ on.
# More is not better: the slower of the two then tends to zero as $\gamma$ grows, and $D$ can hardly move.

# %%
for gamma in (0.5, 1.0, 2.0, 8.0):
    print(f"gamma {gamma}: {told(toy.dirac_gan(losses.minimax, penalties.r1, gamma=gamma).eigenvalues)}")

# %% [markdown]
# Next: the same game in the plane, where it can be watched whole, `2_two_dimensions`.
