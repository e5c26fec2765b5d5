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
# # The latent space
#
# After training D is dropped, and G is what remains: a function from a latent z to an image. This notebook walks through the
# space that z is drawn from, finds the z of an image that G has never seen, looks for directions along which images change in
# one respect, and measures how smooth the space is. Some minutes on two CPU cores.
# [Open in Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/6_latent_space.ipynb).

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

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image

from jaxgan import data, pictures, recipes
from jaxgan.core import latents
from jaxgan.latent import walks

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs
STEPS, RESTARTS, ADAM = (12, 2, 10) if SMOKE else (2_000, 8, 300)
plt.rcParams.update({"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.25})
folder = Path(tempfile.mkdtemp())


def quietly(call, /, *arguments, **options):
    """Calls a function without its progress."""
    with contextlib.redirect_stderr(io.StringIO()):
        return call(*arguments, **options)


# %% [markdown]
# A class-conditional GAN on real handwritten digits of 8 by 8 pixels, z of 64 numbers from a normal distribution:

# %%
digits = dataclasses.replace(recipes.preset("digits"), steps=STEPS, decay_images=STEPS * 128, ema_half_life=10_000.0)
run = quietly(jaxgan.train, digits, folder / "digits")
sampler = jaxgan.load_sampler(run)
sampler(20, seed=0)

# %% [markdown]
# ## From one image to another
#
# Between two latents there is a way, and G makes an image of every place on it. The straight line passes too near to the
# middle: in 64 dimensions normal latents lie on a shell of radius $\sqrt{64} = 8$, and halfway between two of them the norm is
# smaller by $\sqrt 2$, where G has rarely seen any. The great circle stays on the shell.

# %%
seeds = (3, 7, 12)
points = np.concatenate([sampler.functions.latents(seed, np.zeros(1, np.int32)) for seed in seeds])
fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
for name, path in {"straight line": latents.lerp, "great circle": latents.slerp}.items():
    ax.plot(np.linalg.norm(latents.walk(points, 25, path), axis=1), label=name)
loop = walks.loop(points, 24)
ax.plot(np.linalg.norm(loop, axis=1), label="closed loop")
norms = np.linalg.norm(sampler.functions.latents(0, np.arange(1000, dtype=np.int32)), axis=1)
ax.axhspan(*np.quantile(norms, [0.01, 0.99]), color="#999999", alpha=0.2, label="98 % of all latents")
ax.set(xlabel="frame", ylabel="norm of z")
ax.legend(ncols=2)
plt.show()

# %% [markdown]
# The closed loop is a periodic cubic spline through the seeds, brought back to the shell: it turns no corner where one way ends
# and the next begins, and after the last frame comes the first. On the command line:
# `jaxgan interpolate RUN --loop --out loop.gif`.

# %%
Image(jaxgan.interpolate(run, out=folder / "loop.gif", loop=True, labels=[0, 3, 5, 8], frames=16))

# %% [markdown]
# Four latents span a sheet, each side of which is a great circle (`--sheet --seeds 1 2 3 4`):

# %%
Image(jaxgan.interpolate(run, out=folder / "sheet.png", sheet=True, seeds=(1, 2, 3, 4), labels=8))

# %% [markdown]
# ## From one class to another
#
# Between the labels 3 and 8 there is no label. But the first thing that a network makes of a label is numbers, here a row of a
# table, and between two rows there is everything. z is held, so each row keeps what it can of its style (`--morph`):

# %%
Image(jaxgan.interpolate(run, out=folder / "morph.png", morph=True, labels=[3, 8, 0], seeds=(1, 2, 3)))

# %% [markdown]
# ## The latent of an image
#
# G maps z to an image; the inverse is found by descent on $|G(z) - x|^2$, from several starts at once and for every class.
# First an image of G's own, whose z is there to be found; then digits that somebody wrote; then something that is no digit at
# all:

# %%
real, labels, _ = data.arrays("digits")
own = sampler(2, seed=100, labels=[4, 9]).images
noise = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
found = quietly(jaxgan.project, run, np.concatenate([own, real[:3], noise]), restarts=RESTARTS, steps=ADAM, features="none")
for name, label, psnr in zip(["own", "own", "real", "real", "real", "noise"], found.labels, found.psnr, strict=True):
    print(f"{name:6} read as {label}: {psnr:5.1f} dB")
found

# %% [markdown]
# An image of G's own comes back to what the eye cannot tell apart, at 30 dB and more. What G cannot make is unlike what it was
# trained on: the error is a score for anomalies (`jaxgan project RUN FOLDER` writes it for each image).
#
# A real digit that has a latent can be changed like any other. Here two of them are joined:

# %%
ends = found.latents[2:4]
way = sampler(z=latents.walk(ends, 9), labels=int(found.labels[2]))
pictures.grid(way.images, columns=9)

# %% [markdown]
# ## Directions
#
# Along most directions of z little happens. Those along which images change most are the eigenvectors of the mean of $J^T J$,
# with $J$ the derivative of the image by z; those that the first weights stretch most, of $A^T A$, come in closed form (SeFa).
# Each row below is a direction, from 3 deviations on one side to 3 on the other.

# %%
changing = quietly(jaxgan.directions, run, method="pca", count=5)
print(changing.about["made"])
Image(folder / "digits" / "directions" / "pca.png")

# %%
stretched = quietly(jaxgan.directions, run, method="factorise", count=64)
fig, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
every = quietly(jaxgan.directions, run, method="pca", count=64, name="all")
for name, each in {"J^T J": every, "A^T A": stretched}.items():
    ax.plot(each.values / each.values.sum(), label=f"${name}$")
ax.set(xlabel="direction", ylabel="share of the trace", yscale="log")
ax.legend()
plt.show()


# %% [markdown]
# Any function of an image has a direction along which it grows: a regression of its values on z. Here the ink, of each class by
# itself, since the class is given to G apart from z:


# %%
def ink(images):
    """The mean brightness of images `[B, 8, 8, 1]`, from 0 to 255."""
    return images.reshape(len(images), -1).mean(axis=1)


thick = quietly(jaxgan.directions, run, function=ink)
print(f"explains {100 * thick.values[0]:.0f} % of the variance within a class")
start = points[0]
steps = np.linspace(-3, 3, 7)
rows = [sampler(z=thick.along(start, 1, steps), labels=label).images for label in (0, 3, 6)]
pictures.grid(np.concatenate(rows), columns=7, headings=[f"{step:+g}" for step in steps])

# %% [markdown]
# A direction has a name and lies beside the run: `jaxgan interpolate RUN --direction ink --out ink.gif` follows it, and
# `jaxgan.latent.kept.read(run, "ink")` reads it.
#
# ## How smooth is it?
#
# The *perceptual path length* is the mean squared change of an image's features for a small step on the way between two
# latents. A generator that jumps has long paths. There is no floor, since real images do not lie on a path; it compares
# generators of the same data, by the same features. Here the features of a small classifier of digits:

# %%
result = quietly(jaxgan.evaluate, run, metrics=["path_length"], n=200 if SMOKE else 2_000, features="digits")
length = result.values["path_length"]
print(f"{length.mean:.0f} ± {length.deviation:.0f}")
print(length.how["definition"])
