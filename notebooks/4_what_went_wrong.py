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
# # What went wrong
#
# A GAN that fails seldom says so: no error is raised, and its losses may look like those of a good run. Here each of the usual
# failures is made on purpose, on problems small enough to watch. For each one: what its samples look like, which figures give
# it away, what `jaxgan.verdict` calls it, and what mends it.
#
# | | failure | made by | mended by |
# |---|---|---|---|
# | a | the discriminator wins | no penalty, $D$ learns eighty times as fast as $G$ | a penalty; equal learning rates |
# | b | the generator ignores $z$ | $z = 0$ | giving $z$ back |
# | c | training diverges | learning rates $\times$ 100, no penalty | smaller ones |
# | d | modes are lost | a plain GAN | packing; a penalty |
#
# About two minutes on two CPU cores.
# [Open in Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/4_what_went_wrong.ipynb).

# %%
try:
    import jaxgan
except ImportError:  # on Colab, or in any other environment without it
    # %pip install -q "jaxgan @ git+https://github.com/jaxgan/jaxgan"
    import jaxgan

# %%
import contextlib
import dataclasses
import io
import logging
import os
import tempfile
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxgan import Recipe, data, losses, pictures, toy
from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty

logging.getLogger("jaxgan").setLevel("ERROR")  # runs here are dropped: no warning that nobody else can load one

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs
STEPS, LOOKS = (24, 8) if SMOKE else (2_000, 40)  # the figures are computed at evenly spaced looks

REAL, COLOURS = "#666666", ("#d6604d", "#2166ac", "#1b7837")
plt.rcParams.update(
    {"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False}
)

# %% [markdown]
# ## Training
#
# Every run is `jaxgan.train`, as on the command line; only the recipe differs. A row holds what stands in `metrics.jsonl`:
# losses and gradient norms, and at every look the figures of 512 samples and the word of `jaxgan.verdict`.


# %%
class Run(NamedTuple):
    loss: jaxgan.Loss
    rows: list[dict]
    real: np.ndarray
    fake: np.ndarray


def train(recipe, dataset=None):
    """Trains on the recipe's data or on those given, and returns the rows, with 512 samples and as many real ones."""
    recipe = dataclasses.replace(
        recipe,
        steps=STEPS,
        steps_per_dispatch=STEPS // LOOKS,
        log_interval=STEPS // LOOKS,
        sample_interval=STEPS // LOOKS,
        checkpoint_interval=STEPS,
        ema_half_life=0.0,  # show the generator that plays, not its average
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # a line of progress at each look
        run = jaxgan.train(recipe, folder, dataset=dataset)
        rows = jaxgan.runs.history(run)
        gan, state = jaxgan.load(run)
        fake = jax.jit(gan.sample)(state.ema, jax.random.key(1), jnp.zeros(512, jnp.int32))
    real = (dataset or DIGITS).batches(0, 512)(0)["image"][0]
    return Run(getattr(losses, recipe.loss), rows, np.asarray(real), np.asarray(fake))


# %% [markdown]
# The verdict reads the rows so far and says a word, with its evidence. The word it says most often must be the one that the
# section is about, or the cell fails.


# %%
def conclude(run, *, expected):
    """Prints what the verdict says at the end, and how often it said what before."""
    last = run.rows[-1]
    print(f"{last['verdict']}: {'; '.join(last['evidence'])}")
    counts = Counter(row["verdict"] for row in run.rows if row["verdict"])  # none before six rows
    print(f"at {sum(counts.values())} looks: {', '.join(f'{word} {count}' for word, count in counts.most_common())}")
    mostly = counts.most_common(1)[0][0]
    assert SMOKE or mostly in expected, f"{mostly}, but it should be {' or '.join(expected)}"


PANELS = {  # title, unit, where a perfect generator stands
    "diversity": ("diversity", "mean distance, real = 1", 1.0),
    "duplicates": ("duplicates", "share of samples", 0.0),
    "nearest_real": ("distance to the nearest real", "median, real = 1", 1.0),
    "reach": ("reach", "share of real samples", 1.0),
    "overlap": ("overlap of $D$'s logits", "shared area", 1.0),
    "d_loss": ("$D$'s loss", "nats", None),
    "g_loss": ("$G$'s loss", "nats", None),
    "g_grad_norm": ("gradient of $G$'s loss", "norm", None),
}
FIGURES = ("diversity", "duplicates", "nearest_real", "reach", "overlap", "d_loss")


def curves(runs, names=FIGURES):
    """Figures of several runs over their steps."""
    tall = len(names) // 3
    figure, panels = plt.subplots(tall, 3, figsize=(11, 2.4 * tall + 0.6), sharex=True, squeeze=False, layout="constrained")
    for axes, name in zip(panels.flat, names, strict=True):
        title, unit, ideal = PANELS[name]
        if name == "d_loss":
            ideal = next(iter(runs.values())).loss.equilibrium
        values = {label: np.array([row[name] for row in run.rows]) for label, run in runs.items()}
        for (label, run), colour in zip(runs.items(), COLOURS, strict=False):
            axes.plot([row["step"] for row in run.rows], values[label], color=colour, label=label)
        if ideal is not None:
            axes.axhline(ideal, color="black", ls="--", lw=1, label="at equilibrium")
        if max(np.nanmax(each) for each in values.values()) > 30:
            axes.set_yscale("symlog", linthresh=1.0)
        elif name in ("duplicates", "reach", "overlap"):
            axes.set_ylim(-0.05, 1.05)
        axes.set(title=title, ylabel=unit)
    for axes in panels[-1]:
        axes.set_xlabel("step")
    handles = {label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
    plt.show()


def digits(runs):
    """Samples of runs on digits, beside real ones."""
    shown = {"real": next(iter(runs.values())).real} | {name: run.fake for name, run in runs.items()}
    _, panels = plt.subplots(1, len(shown), figsize=(2.8 * len(shown), 2.9), layout="constrained")
    for axes, (name, images) in zip(panels, shown.items(), strict=True):
        axes.imshow(pictures.grid(images[:30], columns=6, scale=5), cmap="gray", vmin=0, vmax=255)
        axes.set(title=name, xlabel="30 of 512 samples", xticks=[], yticks=[])
    plt.show()


def points(runs):
    """Samples of runs on the ring, over real ones."""
    figure, panels = plt.subplots(1, len(runs), figsize=(11, 4.1), sharex=True, sharey=True, layout="constrained")
    for axes, (name, run), colour in zip(panels, runs.items(), COLOURS, strict=False):
        axes.scatter(*run.fake.T, s=8, color=colour, alpha=0.6, lw=0, label=f"generated, {name}")
        axes.scatter(*run.real.T, s=8, color="black", alpha=0.4, lw=0, label="real")
        found = toy.coverage(run.fake, RING).modes
        axes.set(title=f"{name}: {found:.0f} of 8 modes", xlabel="$x_1$", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal")
    panels[0].set_ylabel("$x_2$")
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, markerscale=2)
    plt.show()


# %% [markdown]
# ## How it should be
#
# Handwritten digits of 8 by 8 pixels, without labels. $G$ and $D$ are perceptrons with two hidden layers; the loss is
# relativistic, whose equilibrium has $D$'s loss at $\log 2$. The penalty is R1 + R2, with $\gamma = 0.3$.

# %%
DIGITS = data.load("digits")
adam = Adam(learning_rate=1e-3, final_learning_rate=1e-4, beta2=0.95)
good = Recipe(
    data=Data("digits"),
    generator=MLP(width=128, depth=2, latent_dim=32),
    discriminator=MLPDiscriminator(width=256, depth=2),
    loss="relativistic",
    penalty=Penalty("r1_r2", gamma=0.3),
    g_optimizer=adam,
    d_optimizer=adam,
    batch_size=64,
    decay_images=STEPS * 64,
)
healthy = train(good)
conclude(healthy, expected=("converged", "still improving"))
digits({"healthy": healthy})
curves({"healthy": healthy})

# %% [markdown]
# What the figures ask, of 512 generated samples beside 512 real ones (`verdict.figures`, `verdict.overlap`), with Euclidean
# distances between pixels:
#
# - *diversity*: are two generated samples as far apart as two real ones?
# - *duplicates*: how many have a near twin among them?
# - *distance to the nearest real*: does a sample look like a real one? In units of the distance from real to real.
# - *reach*: how many regions of the data get their share of samples, that is, are all kinds of data made?
# - *overlap*: how much area do the histograms of $D$'s logits on real and on generated samples share? 1 where it cannot tell.
#
# Overlap stays below 1: $D$ has seen these real samples many times, and knows them a little.
#
# ## a. The discriminator wins
#
# No penalty, and $D$ learns eighty times as fast as $G$.

# %%
NONE = Penalty("none", gamma=0.0)


def rates(g, d):
    """Learning rates of both players, which fall to a tenth."""
    return {
        name: dataclasses.replace(adam, learning_rate=rate, final_learning_rate=0.1 * rate)
        for name, rate in (("g_optimizer", g), ("d_optimizer", d))
    }


beaten = train(dataclasses.replace(good, penalty=NONE, **rates(5e-5, 4e-3)))
conclude(beaten, expected=("discriminator wins",))

# %% [markdown]
# $D$ tells nearly every sample from the real ones. Where it is sure it is steep here and flat there, and its slope does not say
# which way the data are. Two remedies, one after the other: first only the penalty, at the same learning rates; then equal
# learning rates as well, which is the healthy run above.

# %%
held_back = train(dataclasses.replace(good, **rates(5e-5, 4e-3)))
conclude(held_back, expected=("discriminator wins", "still improving"))
runs = {"$D$ wins": beaten, "with the penalty": held_back, "and equal rates": healthy}
digits(runs)
curves(runs)

# %% [markdown]
# With the penalty alone $D$ still tells most samples from real ones: the overlap is small. But it is no longer sure, its loss
# is far from 0, and its slope is worth following: samples become various, and reach rises.
#
# ## b. The generator ignores $z$
#
# Everything is as in the healthy run, but $z = 0$: $G$ has nothing to be diverse with. Real generators come to this when $z$
# is lost on its way, in a bug or behind a strong condition. The generator is a part of our own: a dataclass with its own
# distribution of $z$, and a `build` that makes the same network.


# %%
@dataclasses.dataclass(frozen=True)
class Blind:
    latent_dim: int = 32

    def latent(self, key, shape):
        del key  # nothing is drawn
        return jnp.zeros(shape)

    def build(self, shape):
        return good.generator.build(shape)


blind = train(dataclasses.replace(good, generator=Blind()))
conclude(blind, expected=("mode collapse",))
runs = {"$z = 0$": blind, "$z$ given back": healthy}
digits(runs)
curves(runs)

# %% [markdown]
# All samples are one picture, a grey mean of all digits: duplicates 1, diversity 0. Yet *the distance to the nearest real* is
# hardly larger than the healthy run's: near the mean there always is some digit. No single figure is enough.
#
# ## c. Training diverges
#
# Learning rates a hundred times as large, and no penalty.

# %%
wild = train(dataclasses.replace(good, penalty=NONE, **rates(0.1, 0.1)))
conclude(wild, expected=("diverged",))
runs = {r"rates $\times$ 100": wild, "rates as they were": healthy}
digits(runs)
curves(runs, ("d_loss", "g_loss", "g_grad_norm"))

# %% [markdown]
# An update of Adam is about as large as the learning rate, whatever the gradient's size. So the weights grow at once, and $D$'s
# logits with them; $G$'s last layer, a tanh, is saturated, no gradient passes, and nothing comes back from there. `diverged`
# means a value that is not finite, a loss above 100 or a gradient's norm above $10^4$. A run may also blow up, freeze at one
# picture and leave small losses behind; then the word is `mode collapse`, which is true of its samples. The remedy is the same.
#
# ## d. Modes are lost
#
# Eight Gaussians on a circle, and a plain GAN: the non-saturating loss, no penalty, and a small $D$ with one hidden layer. Its
# equilibrium has $D$'s loss at $2 \log 2$.

# %%
RING = toy.ring(radius=2.0, sigma=0.2)
POINTS = toy.dataset(RING, name="ring")
adam = Adam(learning_rate=3e-3, beta1=0.5, beta2=0.99)
small = Recipe(
    generator=MLP(width=128, depth=2, latent_dim=16),
    discriminator=MLPDiscriminator(width=128, depth=1),
    loss="non_saturating",
    penalty=NONE,
    g_optimizer=adam,
    d_optimizer=adam,
    batch_size=128,
)
plain = train(small, POINTS)
conclude(plain, expected=("mode collapse",))

# %% [markdown]
# $G$ puts all its points where $D$ is highest; $D$ marks that place as generated; $G$ moves on to the next. At any time it
# makes one or two modes.
#
# *Packing* (PacGAN) lets $D$ judge four samples at once, all real or all generated. Four points from one mode give themselves
# away, since four real ones are rarely together. *A penalty*, R1 + R2, makes $D$ flat, so that $G$ is not drawn to one peak.

# %%
packed = train(dataclasses.replace(small, pack=4), POINTS)
conclude(packed, expected=("converged", "still improving"))
penalised = train(dataclasses.replace(small, penalty=Penalty("r1_r2", gamma=1.0)), POINTS)
conclude(penalised, expected=("converged", "still improving"))
runs = {"plain": plain, "packs of 4": packed, "R1 + R2": penalised}
points(runs)
curves(runs)

# %% [markdown]
# Both bring all modes back. `still improving` then says what is still bad: points between the modes, far from any real one.
# They become fewer with more steps, or with a larger $D$: try `depth=2`.
#
# Look at $D$'s loss: while $G$ makes one mode of eight, it is not far from its equilibrium. It says nothing of modes.
#
# ## The words and their limits
#
# In this order, the first that fits the medians over the last quarter of the rows (`verdict.judge`):
#
# | word | when |
# |---|---|
# | `diverged` | a value is not finite, a loss is above 100, a gradient's norm above $10^4$ |
# | `mode collapse` | diversity is below 0.25 and not rising, or half of the samples are duplicates |
# | `discriminator wins` | $D$'s loss is below a tenth of its equilibrium; without one, overlap is below 0.1; no overfitting |
# | `mode collapse` | reach is below 0.8, and was higher or does not rise |
# | `discriminator overfits` | by $D$'s logits, unseen real samples are nearer to generated ones than to training samples |
# | `converged` | no figure and no loss has a trend over the last half of the rows, and all are where good runs end (below) |
# | `still improving` | otherwise; the evidence says what changes and what is lacking |
#
# - `converged` asks for reach of at least 0.9, diversity within 0.2 of 1, a distance to the nearest real of at most 2, and
#   $D$'s loss of at least half of its equilibrium.
# - Before six rows with figures there is no word.
# - The thresholds were chosen on runs like these. They are signs, not proofs: `converged` says that the figures have settled
#   where good runs settle, not that $p_g = p$.
# - Reach sees regions of a fortieth of the data. A mode that holds less may be lost unseen.
# - A generator that hops from mode to mode may look for a while as if reach were rising: `still improving`, as at some looks
#   above. Watch the word over time, and read the evidence.
# - Distances between pixels mean something for small digits and for points. Two photographs of the same thing may be far apart,
#   and then reach and the nearest real need features of a network in place of pixels.
#
# On the command line the same words stand in `metrics.jsonl` and `curves.png`, and `--stop-on collapse,diverged` ends a run
# that has failed.
