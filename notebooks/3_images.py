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
# # Images
#
# A GAN that draws handwritten digits, and a digit that one asks for: both networks are told the class. It is trained here, by
# `jaxgan.train` with a callback that looks on, and then questioned: does $D$ end where theory says, is the latent space smooth,
# what does the label change, and does $G$ merely repeat what it has seen? About a minute on two CPU cores.
# [Open in Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/3_images.ipynb).

# %%
try:
    import jaxgan
except ImportError:  # on Colab, or in any other environment without it
    # %pip install -q "jaxgan @ git+https://github.com/jaxgan/jaxgan"
    import jaxgan

# %%
import contextlib
import io
import math
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown

from jaxgan import Callback, Recipe, data, pictures
from jaxgan.core import latents
from jaxgan.evaluation import verdict
from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty
from jaxgan.training.experiment import build

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs
STEPS, CHUNK = (16, 2) if SMOKE else (4_000, 50)  # steps in all, and in one program

REAL, FAKE, D_COLOUR = "#666666", "#d6604d", "#2166ac"
plt.rcParams.update(
    {"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False}
)

# %% [markdown]
# ## The data
#
# 1,797 digits of 8 by 8 pixels, written by 13 people (scikit-learn's). Some are held out, to see later what training on the
# others does. Pixels are numbers from $-1$, black, to $1$, white.

# %%
images, labels, class_names = data.arrays("digits")
order = np.random.default_rng(0).permutation(len(images))
seen, held_out = order[:1_500], order[1_500:]
dataset = data.from_array(images[seen], labels[seen], name="digits")
images = 2.0 * images.astype(np.float32) / 255.0 - 1.0
print(f"{len(seen):,} digits to learn from, {len(held_out)} held out")


def show(images, *, columns, title, xlabel, ylabel, xticks=None, yticks=None):
    """A grid of images, with names of its columns and rows."""
    scale, padding = 5, 2
    rows = -(-len(images) // columns)
    cell = scale * images.shape[1] + padding
    _, axes = plt.subplots(figsize=(0.62 * columns + 1.2, 0.62 * rows + 1.0), layout="constrained")
    axes.imshow(pictures.grid(images, columns=columns, scale=scale, padding=padding), cmap="gray", vmin=0, vmax=255)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    for axis, names in ((axes.xaxis, xticks), (axes.yaxis, yticks)):
        names = [] if names is None else names
        axis.set_ticks([padding + cell * (i + 0.5) - padding for i in range(len(names))], names)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    plt.show()


by_class = [np.flatnonzero(labels[seen] == i)[:12] for i in range(10)]
show(
    images[seen][np.concatenate(by_class)],
    columns=12,
    title="Real digits",
    xlabel="twelve of each",
    ylabel="class",
    yticks=class_names,
)

# %% [markdown]
# ## Two networks and a loss
#
# This is the recipe `digits` of `jaxgan train`, spelled out; data, gamma, steps and how often one looks differ. Both
# networks are perceptrons with three hidden layers. $G$ gets $z$ and a learnt vector for the label $y$. $D$ returns a logit
# $l(x, y)$, in which a learnt vector for the label is multiplied with the last hidden layer (projection, Miyato and Koyama
# 2018).
#
# The loss is *relativistic* (Jolicoeur-Martineau 2018): $D$ is shown a real and a generated image of the same class, and says
# which is which. The probability it gives to the right answer is $\sigma\bigl(l(x) - l(G(z))\bigr)$, and
#
# $$L_D = -\log \sigma\bigl(l(x) - l(G(z))\bigr), \qquad L_G = -\log \sigma\bigl(l(G(z)) - l(x)\bigr).$$
#
# The penalty, R1 + R2, keeps $D$ from being steep on real and on generated images.

# %%
adam = Adam(learning_rate=1e-3, final_learning_rate=1e-4, beta2=0.95)
BATCH, LATENT_DIM = 128, 64
recipe = Recipe(
    data=Data("given", conditional=True),  # in Python, below; both networks are told the class
    generator=MLP(width=256, depth=3, latent_dim=LATENT_DIM),
    discriminator=MLPDiscriminator(width=256, depth=3),
    loss="relativistic",
    penalty=Penalty("r1_r2", gamma=0.3),
    g_optimizer=adam,
    d_optimizer=adam,
    batch_size=BATCH,
    decay_images=STEPS * BATCH,  # time is counted in images shown to D
    ema_half_life=30_000.0,
    ema_rampup=0.2,
    seed=0,
    steps=STEPS,
    steps_per_dispatch=CHUNK,  # one compiled program makes 50 steps
    log_interval=CHUNK,
    sample_interval=4 * CHUNK,  # figures and a verdict
    checkpoint_interval=STEPS,
)

# %% [markdown]
# ## Training, watched
#
# `jaxgan.train` makes the steps, saves them, and writes a row every 50, with figures of the samples every 200. A callback is a
# function of a moment of training: ours keeps $G$'s pictures of ten fixed latents, and $D$'s logits. The pictures come from
# the averaged generator, $D$'s logits from the one that plays. `build` makes of a recipe what training is made of, so that we
# may ask the networks ourselves.

# %%
experiment = build(recipe, dataset=dataset)
gan, discriminator, KEY = experiment.gan, experiment.discriminator, experiment.key
sample = jax.jit(gan.sample)
COMPARED = len(held_out)  # real images of each kind, and generated ones with the same labels
kinds = {"real, learnt from": seen[:COMPARED], "real, held out": held_out}


@jax.jit
def judge(state):
    """D's logits on each kind of real images, and on as many generated ones with the same labels."""
    now = jaxgan.Weights(state.g.params, state.g.stats)
    logits = {}
    for i, (name, rows) in enumerate(kinds.items()):
        y = jnp.asarray(labels[rows])
        fake = gan.sample(now, jax.random.fold_in(KEY, i), y)
        logits[name] = [discriminator.apply(state.d.params, {}, x, y, KEY, train=False)[0] for x in (images[rows], fake)]
    return logits


digits = jnp.arange(10)
moments = [0, 50, 150, 400, 1_000, 2_000, STEPS]
pictures_then, logits_then = {}, {}


def look(moment):
    logits_then[moment.step] = judge(moment.state)
    if moment.step in moments:
        pictures_then[moment.step] = sample(moment.state.ema, KEY, digits)


start = gan.init(KEY)
pictures_then[0], logits_then[0] = sample(start.ema, KEY, digits), judge(start)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # a line of progress every 50 steps
    run = jaxgan.train(recipe, folder, dataset=dataset, callbacks=[Callback(look, every_steps=CHUNK)])
    history = jaxgan.runs.history(run)
    gan, state = jaxgan.load(run)
show(
    np.concatenate([np.asarray(x) for x in pictures_then.values()]),
    columns=10,
    title="The same ten latents, step by step",
    xlabel="class asked for",
    ylabel="step",
    xticks=class_names,
    yticks=[f"{step:,}" for step in pictures_then],
)

# %% [markdown]
# ## Does $D$ end at one half?
#
# For the GAN of the lecture $D(x) = \sigma(l(x))$, and at the equilibrium both $D(x)$ and $D(G(z))$ are $\tfrac12$. A
# relativistic $D$ is never asked for $\sigma(l(x))$: add any number to all its logits of a class, and its loss stays the same.
# So $\sigma(l)$ may settle anywhere (right). What goes to $\tfrac12$ is $\sigma\bigl(l(x) - l(G(z))\bigr)$ (middle), and its
# loss goes to $\log 2$ (left).

# %%
looks = np.array(list(logits_then))
_, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
count = [row["step"] for row in history]
over = {name: [row[name] for row in history] for name in ("d_loss", "d_real", "d_fake")}  # a row is a mean of its steps
left.plot(count, over["d_loss"], color=D_COLOUR, label=f"$D$'s loss, mean of {CHUNK} steps")
left.axhline(math.log(2), color="black", ls="--", lw=1, label=r"$\log 2$")
left.set(title="$D$'s loss", ylabel="loss, nats")
for name, colour in zip(kinds, (D_COLOUR, REAL), strict=True):
    chances = [float(jax.nn.sigmoid(pair[0] - pair[1]).mean()) for pair in (each[name] for each in logits_then.values())]
    middle.plot(looks, chances, color=colour, label=name)
middle.axhline(0.5, color="black", ls="--", lw=1, label=r"$\frac{1}{2}$")
middle.set(title=r"$\sigma(l(x) - l(G(z)))$, $D$ right about a pair", ylabel="mean probability", ylim=(0, 1))
right.plot(count, over["d_real"], color=REAL, lw=0.8, label=r"$\sigma(l(x))$, real")
right.plot(count, over["d_fake"], color=FAKE, lw=0.8, label=r"$\sigma(l(G(z)))$, generated")
right.axhline(0.5, color="black", ls="--", lw=1, label=r"$\frac{1}{2}$")
right.set(title=r"$\sigma$ of one logit", ylabel="mean over the batch", ylim=(0, 1))
for axes in (left, middle, right):
    axes.set_xlabel("step")
    axes.legend(fontsize=9)
plt.show()

# %% [markdown]
# On held-out images $D$ ends at $\tfrac12$: it cannot tell them from generated ones. On images that it learnt from it is
# better than a coin, and becomes better still: it knows them by heart, and its loss turns away from $\log 2$ again. The
# equilibrium of theory is one of densities; $D$ was given 1,500 points.
#
# The logits themselves, each less the mean of its class, which says nothing. Two samples of one distribution would overlap by
# 0.85 (`verdict.overlap`).

# %%
then = [0, *(step for step in (150, STEPS) if step in logits_then)]
figure, panels = plt.subplots(1, len(then), figsize=(4 * len(then), 3.4), layout="constrained")
classes = {name: labels[rows] for name, rows in kinds.items()}
for axes, step in zip(panels, then, strict=True):
    (learnt_from, generated), (unseen, _) = (np.array(logits_then[step][name]) for name in kinds)
    first, second = classes.values()
    of_class = np.bincount(first, weights=0.5 * (learnt_from + generated)) / np.bincount(first)
    values = {
        "generated": (generated - of_class[first], FAKE),
        "real, learnt from": (learnt_from - of_class[first], D_COLOUR),
        "real, held out": (unseen - of_class[second], REAL),
    }
    bins = np.quantile(np.concatenate([each for each, _ in values.values()]), [0.0, 0.995])
    for name, (each, colour) in values.items():
        shared = "" if name == "generated" else f", overlap {verdict.overlap(each, values['generated'][0]):.2f}"
        style = {"alpha": 0.4} if name == "generated" else {"histtype": "step", "lw": 1.5}
        axes.hist(each, np.linspace(*bins, 30), color=colour, label=name + shared, **style)
    axes.set(
        title=f"step {step:,}", xlabel="logit, centred within its class", ylabel="images", ylim=(0, axes.get_ylim()[1] * 1.35)
    )
    axes.legend(fontsize=8, loc="upper right")
figure.suptitle("$D$'s logits")
plt.show()

# %% [markdown]
# ## What it draws
#
# Any class can be asked for. Every sample is a new latent.


# %%
Z = latents.draw(jax.random.key(2), jnp.arange(COMPARED), LATENT_DIM)


def of(classes, z):
    """Images of these classes, from these latents."""
    return np.asarray(sample(state.ema, KEY, jnp.asarray(classes), z=z))


asked = np.repeat(np.arange(10), 12)
show(
    of(asked, Z[:120]),
    columns=12,
    title="Generated digits",
    xlabel="twelve of each",
    ylabel="class asked for",
    yticks=class_names,
)

# %% [markdown]
# Now each row keeps its $z$, and only the label changes. What $z$ decides is how a digit is written: its slant, its weight, its
# width. That was not told to $G$ either.

# %%
z = Z[:6]
show(
    of(np.tile(np.arange(10), 6), jnp.repeat(z, 10, axis=0)),
    columns=10,
    title="One latent, ten labels",
    xlabel="class asked for",
    ylabel="latent",
    xticks=class_names,
    yticks=[f"$z_{i}$" for i in range(6)],
)

# %% [markdown]
# ## A walk through latent space
#
# From $z_0$ to $z_1$, on the great circle between them (`latents.slerp`): the norm of a normal latent in 64 dimensions is
# always near $\sqrt{64} = 8$, and the straight line would leave that shell.

# %%
FRAMES = 12
walk = jax.jit(latents.walk, static_argnames=("frames", "path"))
way, straight = walk(z[:2], frames=FRAMES, path=latents.slerp), walk(z[:2], frames=FRAMES, path=latents.lerp)
ends = jnp.linalg.norm(z[:2], axis=1)
circle, line = (jnp.linalg.norm(each, axis=1).min() for each in (way, straight))
print(f"|z_0| = {ends[0]:.1f}, |z_1| = {ends[1]:.1f}; least norm on the circle {circle:.1f}, on the straight line {line:.1f}")
show(
    of(np.repeat(np.arange(10), FRAMES), jnp.tile(way, (10, 1))),
    columns=FRAMES,
    title="From one latent to another",
    xlabel="share of the way from $z_0$ to $z_1$",
    ylabel="class asked for",
    xticks=[f"{t:.2f}" for t in np.linspace(0, 1, FRAMES)],
    yticks=class_names,
)

# %% [markdown]
# The same as a film, once around five latents and back.

# %%
way = walk(jnp.concatenate([z[:5], z[:1]]), frames=3 if SMOKE else 17)[:-1]
frames = of(np.tile(np.arange(10), len(way)), jnp.repeat(way, 10, axis=0)).reshape(len(way), 10, *dataset.shape)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "walk.gif"
    pictures.animation([pictures.grid(frame, columns=5, scale=9) for frame in frames], path, milliseconds=60)
    film = path.read_bytes()
Image(data=film, format="gif")

# %% [markdown]
# ## Is it learnt by heart?
#
# A $G$ that stored the training images would draw well. So the nearest training image is sought for each generated one, by
# the Euclidean distance between pixels; and for each held-out image, which nobody can have learnt by heart.


# %%
def distances(a, b):
    """`[len(a), len(b)]`"""
    return np.sqrt(np.square(a.reshape(len(a), 1, -1) - b.reshape(1, len(b), -1)).sum(axis=-1))


learnt = images[seen]
fake = of(labels[held_out], Z)
from_fake, from_held_out = distances(fake, learnt), distances(images[held_out], learnt)

first = [int(np.flatnonzero(labels[held_out] == i)[0]) for i in range(10)]
nearest = np.argsort(from_fake[first], axis=1)[:, :3]
show(
    np.concatenate([fake[first], *(learnt[nearest[:, i]] for i in range(3))]),
    columns=10,
    title="Generated, and the three training images nearest to it",
    xlabel="class asked for",
    ylabel="",
    xticks=class_names,
    yticks=["generated", "nearest", "second", "third"],
)

# %%
_, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
bins = np.linspace(0, from_held_out.min(axis=1).max(), 40)
for name, found, colour in (("held-out", from_held_out, REAL), ("generated", from_fake, FAKE)):
    least = found.min(axis=1)
    right = (labels[seen][found.argmin(axis=1)] == labels[held_out]).mean()
    axes.hist(least, bins, color=colour, alpha=0.5, label=f"{name} images")
    axes.axvline(np.median(least), color=colour, ls="--", lw=1, label=f"their median, {np.median(least):.2f}")
    print(f"{name}: nearest training image at {least.min():.2f} or more, {right:.1%} of the same class")
axes.axvline(0, color="black", lw=1, label="0, learnt by heart")
axes.set(title="Distance to the nearest training image", xlabel="Euclidean distance, pixels in [-1, 1]", ylabel="images")
axes.legend(fontsize=9)
plt.show()

# %% [markdown]
# None is a copy: the nearest training image is about as far from a generated one as from a held-out one. But a little nearer.
# Are generated images only smoother, or drawn to what was learnt from? If only smoother, then the nearest of some images that
# were learnt from is as far as the nearest of as many that were not. So it is for real images of neither group:

# %%
groups = {"learnt from": learnt[:COMPARED], "held out": images[held_out]}
table = ["| median distance to the nearest of as many images | " + " | ".join(groups) + " |", "|---|---:|---:|"]
for name, each in (("generated", fake), ("other real ones", learnt[COMPARED:])):
    medians = [np.median(distances(each, group).min(axis=1)) for group in groups.values()]
    table.append(f"| {name} | " + " | ".join(f"{median:.2f}" for median in medians) + " |")
Markdown("\n".join(table))

# %% [markdown]
# So $G$ leans a little towards the training images. It has never seen one, but it learns from $D$, which knows them by heart.
# The usual remedies are more images, fewer steps and augmentation (`jaxgan.augment`).
#
# ## Figures
#
# `verdict.figures` compares generated with real images in four numbers, and `metrics.prdc` in four others that papers report,
# there of a network's features, here of pixels. The third column is the floor: as many other *real* images in place of the
# generated ones.

# %%
reference, other = learnt[:COMPARED], learnt[COMPARED : 2 * COMPARED]
fake = of(labels[seen][:COMPARED], Z)
about = {
    "diversity": "mean distance between two, over that between two real ones",
    "duplicates": "share with a near twin",
    "nearest_real": "distance to the nearest real, over that from real to real",
    "reach": "share of regions, a fortieth of the real images each, that are visited",
    "precision": "share of generated images near a real one",
    "recall": "share of real images near a generated one",
    "density": "real neighbourhoods that a generated image lies in, as a share of five",
    "coverage": "share of real images with a generated one among their five nearest",
}
found = [
    verdict.figures(reference, each)._asdict()
    | prdc(reference.reshape(COMPARED, -1), each.reshape(COMPARED, -1), nearest=5)._asdict()
    for each in (fake, other)
]
table = ["| figure | generated | real | what it is |", "|---|---:|---:|---|"]
table += [
    f"| {name.replace('_', ' ')} | {found[0][name]:.3f} | {found[1][name]:.3f} | {text} |" for name, text in about.items()
]
Markdown("\n".join(table))

# %%
word, evidence = history[-1]["verdict"], history[-1]["evidence"]
print(f"{word}: {'; '.join(evidence)}")
assert SMOKE or word in ("converged", "still improving"), word

# %% [markdown]
# Training says this word itself, in its rows: `verdict.judge` reads how these figures and $D$'s loss went.
# What the words mean, and what failure looks like: `4_what_went_wrong`.
