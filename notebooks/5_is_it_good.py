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
# # Is it good?
#
# One GAN scores a Fréchet distance of 12, another 9. Is the second better? This notebook asks what such a number sees and what
# it does not, how it depends on the number of images, what real images would score, whether a generator copies what it was
# shown, and then compares two GANs. About a minute on two CPU cores.
# [Open in Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/5_is_it_good.ipynb).

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
import os
import tempfile
from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from jaxgan import data, pictures, recipes
from jaxgan.commands.evaluate import compare, table
from jaxgan.evaluation.metrics.diversity import diversity
from jaxgan.evaluation.metrics.frechet import frechet_distance
from jaxgan.evaluation.metrics.kernel import kernel_distance
from jaxgan.evaluation.metrics.memorisation import memorisation
from jaxgan.evaluation.metrics.moments import moments
from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.training.train import train

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs
STEPS, SEEDS, N = (12, (0,), 60) if SMOKE else (2_000, (0, 1), None)

REAL, FAKE, D_COLOUR = "#666666", "#d6604d", "#2166ac"
plt.rcParams.update(
    {"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False}
)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Images become features
#
# No metric here looks at pixels: two digits that a reader cannot tell apart may differ in all of them. A network maps each
# image to a vector of *features*, and images are compared by these. Which network it is decides what the number sees, so a
# figure without its network means nothing. FID proper uses an Inception network that was trained on photographs; for digits of
# 8 by 8 pixels a small classifier that was trained on digits is the better judge. The library trains it in seconds.

# %%
images, labels, class_names = data.arrays("digits")
order = rng.permutation(len(images))
train_half, held_out = order[:900], order[900:]
judge = jaxgan.features.extractor("digits", images.shape[1:])


def features_of(x):
    """Images `[N, 8, 8, 1]`, uint8, to features `[N, 64]`."""
    return np.asarray(judge.features(jnp.asarray(x)))


real, unseen = features_of(images[train_half]), features_of(images[held_out])
print(
    f"{judge.size} features of {judge.name}, {100 * judge.accuracy:.1f} % right on its test split, sha256 {judge.checksum[:12]}"
)

# %% [markdown]
# ## Generators that we know
#
# To see what a metric sees, give it images whose faults are known. None of these comes from a GAN; `real` is one half of the
# digits, and everything is compared with it.
#
# * **unseen**: the other half. A perfect generator could do no better.
# * **noisy**, **blurred**, **shifted**: the other half, spoilt.
# * **no eights**: the other half without one class.
# * **one each**: ten images, repeated, with a trace of noise: a conditional GAN that collapsed within each class.
# * **copies**: `real` itself. A generator that has learnt its training images by heart.


# %%
def noisy(x, sigma):
    return np.clip(x + rng.normal(0.0, sigma, x.shape), 0, 255).round().astype(np.uint8)


def blurred(x):
    y = np.pad(x.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = (y[:, :-2] + 2 * y[:, 1:-1] + y[:, 2:]) / 4
    return ((y[:, :, :-2] + 2 * y[:, :, 1:-1] + y[:, :, 2:]) / 4).round().astype(np.uint8)


others = images[held_out]
one_each = np.stack([others[labels[held_out] == i][0] for i in range(10)])
made = {
    "unseen": others,
    "noisy": noisy(others, 40.0),
    "blurred": blurred(others),
    "shifted": np.roll(others, 1, axis=2),
    "no eights": others[labels[held_out] != 8],
    "one each": noisy(one_each.repeat(90, axis=0), 4.0),
    "copies": images[train_half],
}
columns = 12
shown = np.concatenate([x[rng.choice(len(x), columns, replace=False)] for x in made.values()])
fig, axes = plt.subplots(figsize=(8.0, 5.2), layout="constrained")
axes.imshow(pictures.grid(shown, columns=columns, scale=5), cmap="gray", vmin=0, vmax=255)
cell = 5 * 8 + 2
axes.set_yticks([cell * (i + 0.5) for i in range(len(made))], list(made))
axes.set(title="What each of them makes", xlabel="twelve at random", ylabel="generator", xticks=[])
axes.grid(visible=False)
plt.show()

# %% [markdown]
# ## What each metric sees
#
# The Fréchet distance fits a Gaussian to each set of features and measures how far apart these are,
#
# $$d^2 = |m_r - m_g|^2 + \mathrm{tr}\bigl(S_r + S_g - 2\,(S_r^{1/2} S_g S_r^{1/2})^{1/2}\bigr).$$
#
# KID compares all moments up to the third, without bias. *Precision* is the share of generated images that lie within the
# real ones' neighbourhoods, *coverage* the share of real images that have a generated one in theirs. The Vendi score counts how
# many different images there are, here within a class. *Copied* is the share of generated images that are nearer to a training
# image than all but 1 % of unseen images are.

# %%
rows = {}
for name, x in made.items():
    fake = features_of(x)
    found, near = prdc(real, fake), memorisation(real, fake, unseen)
    classes = labels[held_out] if name in ("unseen", "noisy", "blurred", "shifted") else None
    if name == "no eights":
        classes = labels[held_out][labels[held_out] != 8]
    elif name == "one each":
        classes = np.arange(10).repeat(90)
    elif name == "copies":
        classes = labels[train_half]
    rows[name] = {
        "Fréchet distance": frechet_distance(moments(real), moments(fake)),
        "KID": kernel_distance(real, fake, subsets=20).mean,
        "precision": found.precision,
        "coverage": found.coverage,
        "Vendi score within a class": diversity(fake, classes).vendi,
        "copied": near.copied,
    }
heads = list(rows["unseen"])
lines = [f"| {name} | " + " | ".join(f"{row[head]:.3g}" for head in heads) + " |" for name, row in rows.items()]
Markdown("\n".join(["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|", *lines]))

# %%
fig, axes = plt.subplots(1, len(heads), figsize=(13, 2.9), layout="constrained", sharey=True)
for head, ax in zip(heads, axes, strict=True):
    ax.barh(list(rows), [row[head] for row in rows.values()], color=[REAL] + [FAKE] * (len(rows) - 1))
    ax.axvline(rows["unseen"][head], color="#404040", lw=0.9, ls="--")
    ax.set(title=head, xlabel="value")
axes[0].set_ylabel("generator")
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# Read it column by column; the dashed line is what unseen digits score.
#
# * The Fréchet distance of **copies** is zero, better than any honest generator's. It cannot see memorisation, and no metric
#   that compares two sets of features without a third can: *copied* has that third set.
# * **No eights** costs little distance, though a tenth of the data is gone; coverage falls by that tenth.
# * **One each** has a precision near 1: every image it makes is a good one. Coverage, and the Vendi score within a class,
#   see that there are ten.
# * **Blurred** and **shifted** digits are legible to us. How much they cost depends on what the network was taught to ignore.
#
# So one number is not enough, and the floor belongs beside it.
#
# ## The number of images
#
# Two halves of the same data do not score zero. The covariance of few samples is wrong in a way that always adds to the
# distance: with $n$ images the expectation is about $d^2_\infty + c/n$, where $c$ depends on the images too. KID has no such
# bias, only spread.

# %%
counts = [80, 120, 180, 270, 400, 600, 890]
draws = 2 if SMOKE else 8
distances = {n: [] for n in counts}
kids = {n: [] for n in counts}
for n in counts:
    for _ in range(draws):
        pair = rng.permutation(len(images))
        a, b = (np.concatenate([real, unseen])[pair[i * n : (i + 1) * n]] for i in range(2))
        distances[n].append(frechet_distance(moments(a), moments(b)))
        kids[n].append(kernel_distance(a, b, subsets=1, subset_size=n).mean)
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
for ax, found, title in zip(axes, (distances, kids), ("Fréchet distance", "KID"), strict=True):
    x = 1.0 / np.array(counts)
    mean, deviation = (np.array([f(found[n]) for n in counts]) for f in (np.mean, np.std))
    ax.errorbar(x, mean, deviation, fmt="o", ms=4, color=D_COLOUR, label=f"real against real, {draws} draws")
    line = np.polyfit(x, mean, 1)
    ax.plot([0, x[0]], np.polyval(line, [0, x[0]]), color=REAL, lw=1, label=f"straight line, {line[1]:.2g} at $1/n = 0$")
    ax.axhline(0.0, color="#404040", lw=0.8, ls="--")
    ax.set(title=title, xlabel="$1/n$", ylabel="value")
    ax.legend()
plt.show()

# %% [markdown]
# The axis is $1/n$: to the right are few images. All these pairs come from one distribution, and yet with 80 images they are
# many times as far apart as with 890. Two models whose distances were computed of different numbers of images, or with
# different networks, cannot be compared, and a distance near its floor says that *this metric at this n* can see no more.
#
# ## Copies, looked at
#
# The most suspicious images of a generator, above the training images that they are nearest to. Here half of the generated
# images are unseen digits and half are training digits with a little noise.

# %%
suspect = np.concatenate([others[:40], noisy(images[train_half][:40], 3.0)])
near = memorisation(real, features_of(suspect), unseen)
worst = np.argsort(near.nearest.distances)
chosen = np.concatenate([worst[:8], worst[-4:]])
pairs = np.concatenate([suspect[chosen], images[train_half][near.nearest.indices[chosen]]])
fig, axes = plt.subplots(figsize=(8.4, 2.1), layout="constrained")
axes.imshow(pictures.grid(pairs, columns=12, scale=5), cmap="gray", vmin=0, vmax=255)
axes.set_xticks([cell * (i + 0.5) for i in range(12)], [f"{near.nearest.distances[i]:.2f}" for i in chosen])
axes.set_yticks([cell * 0.5, cell * 1.5], ["generated", "nearest real"])
axes.set(title="The eight nearest pairs, and the four farthest", xlabel="distance between their features", ylabel="")
axes.grid(visible=False)
plt.show()
print(f"copied {near.copied:.2f} (unseen 0.01), median distance {near.ratio:.2f} of unseen images' (1)")

# %% [markdown]
# ## Two runs compared
#
# Two recipes, twice each: `digits` with its relativistic loss, and with the hinge loss and no penalty. `compare` measures all
# four against the same real images, on the same latents, and takes the mean over seeds. It is what
# `jaxgan evaluate RUN1 RUN2 ...` prints.

# %%
folder = Path(tempfile.mkdtemp())
usual = dataclasses.replace(recipes.preset("digits"), steps=STEPS, decay_images=STEPS * 128, ema_half_life=10_000.0)
hinge = dataclasses.replace(usual, loss="hinge", penalty=recipes.Penalty("none", 0.0))
runs = []
for name, recipe in {"relativistic": usual, "hinge": hinge}.items():
    for seed in SEEDS:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress
            runs.append(train(dataclasses.replace(recipe, seed=seed), folder / f"{name}-{seed}").path)
metrics = ["fid", "kid", "prdc", "diversity", "memorisation"]
out, results = compare(runs, metrics=metrics, n=N, out=folder / "comparison.json")
print(table(results))

# %%
names = ("fid", "coverage", "vendi_within")
fig, axes = plt.subplots(1, len(names), figsize=(11, 3.0), layout="constrained")
for name, ax in zip(names, axes, strict=True):
    values = [result.values[name] for result in results]
    ax.scatter(range(len(values)), [value.mean for value in values], color=FAKE, label="generated", zorder=3)
    ax.axhline(values[0].floor, color=REAL, ls="--", label="real against real")
    ax.set_xticks(range(len(values)), [result.name.replace("-", "\n") for result in results])
    ax.set(title=values[0].title, xlabel="run and seed", ylabel=f"better: {values[0].better}")
    ax.legend()
plt.show()

# %% [markdown]
# Is a difference between two recipes larger than between two seeds of one? If not, it is not a difference.
#
# A distance below the floor is no miracle: here real digits were compared half against half, and of fewer images the distance
# is larger, as the picture above shows; and a GAN was trained on the very images that it is compared with. Where a data set
# has a split for tests, as many unseen images as were generated are compared with the same real ones, and that floor is a fair
# one.
#
# The JSON file holds every figure with its definition, the number of images, the checksum of the network and the floor, so that
# whoever reads it later knows what was measured:

# %%
print(results[0].values["fid"].how["definition"])
