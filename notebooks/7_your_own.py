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
# # Your own data, your own network
#
# Everything that the library does for its own parts it does for yours: checkpoints, resume, verdict, grids, evaluation. This
# notebook trains a GAN on data made in a cell, with networks, a loss and a figure of merit made in cells, and then moves them
# into a file, where any notebook and the command line find them. A minute and a half on two idle CPU cores.
# [Open in Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/7_your_own.ipynb).

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
import json
import os
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown

from jaxgan.recipes import Adam, Penalty, Recipe

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs


def steps(count):
    return min(count, 20) if SMOKE else count


def quietly():
    """Leaves out the lines of progress, which a notebook in use shows."""
    return contextlib.redirect_stderr(io.StringIO())


plt.rcParams.update({"figure.dpi": 100})

# %% [markdown]
# ## Data
#
# The data may be any array whose first axis counts samples: `[N, H, W, C]` for pictures (`[N, F]` for tables, `[N, T, C]` for
# signals, `[N, D, H, W, C]` for volumes), in any unit. Here 2,000 drawings of 16x16 pixels: rings and crosses, anywhere, of any
# size.

# %%
SIDE, NAMES = 16, ("ring", "cross")


def drawings(count, seed):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    x, y = draw.uniform(5, SIDE - 6, (2, count, 1, 1))
    size = draw.uniform(3, 5, (count, 1, 1))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    across, down = columns - x, rows - y
    ring = np.abs(np.hypot(across, down) - size)
    cross = np.where(np.maximum(np.abs(across), np.abs(down)) < size, np.minimum(np.abs(across), np.abs(down)), 9)
    ink = np.clip(1.5 - np.where(labels[:, None, None] == 0, ring, cross), 0, 1)
    return (255 * ink)[..., None].astype(np.uint8), labels


images, labels = drawings(2_000, seed=0)
DATA = jaxgan.data.from_array(images, labels, name="drawings", class_names=NAMES)
figure, panels = plt.subplots(1, 8, figsize=(8, 1.2), layout="constrained")
for axes, image, label in zip(panels, images, labels, strict=False):
    axes.imshow(image[..., 0], cmap="gray")
    axes.set_title(NAMES[label], fontsize=9)
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## A network
#
# A network is a module of flax.linen (`jaxgan.from_nnx` and `from_equinox` take modules of those two libraries), and a *part*:
# a frozen dataclass whose fields are its settings and whose `build(shape)` makes it. `shape.sample` is the shape of one sample,
# `shape.classes` the number of classes. A generator's part also says how long $z$ is.


# %%
class Draw(nn.Module):
    """z and the class to a picture: a small grid of features, enlarged twice."""

    width: int
    classes: int

    @nn.compact
    def __call__(self, z, labels):
        x = jnp.concatenate([z, jax.nn.one_hot(labels, self.classes)], axis=-1)
        x = nn.Dense(4 * 4 * self.width)(x).reshape(-1, 4, 4, self.width)
        for _ in range(2):
            x = nn.leaky_relu(nn.ConvTranspose(self.width, (4, 4), (2, 2))(x), 0.2)
        return nn.tanh(nn.Conv(1, (3, 3))(x))


@dataclasses.dataclass(frozen=True)
class Drawer:
    """Part of G."""

    width: int = 24
    latent_dim: int = 8

    def build(self, shape):
        z, label = jnp.zeros((1, self.latent_dim)), jnp.zeros(1, jnp.int32)
        return jaxgan.from_linen(Draw(self.width, shape.classes), z, label)


class Judge(nn.Module):
    """A picture and its class to one logit; the class chooses one of several answers."""

    width: int
    classes: int

    @nn.compact
    def __call__(self, x, labels):
        for _ in range(2):
            x = nn.leaky_relu(nn.Conv(self.width, (4, 4), (2, 2))(x), 0.2)
        answers = nn.Dense(self.classes)(x.reshape(len(x), -1))
        return (answers * jax.nn.one_hot(labels, self.classes)).sum(-1)


@dataclasses.dataclass(frozen=True)
class Judging:
    """Part of D."""

    width: int = 24

    def build(self, shape):
        x, label = jnp.zeros((1, *shape.sample)), jnp.zeros(1, jnp.int32)
        return jaxgan.from_linen(Judge(self.width, shape.classes), x, label)


# %% [markdown]
# ## A loss and a figure of merit
#
# A loss is two functions of logits, each of which returns one number a sample. A metric is a function of real and generated
# samples that returns a number; here, how much of a picture is ink. `better="as real"` says that neither more nor less is
# better: it should be as for real pictures.

# %%
squares = jaxgan.Loss(d=lambda real, fake: (real - 1) ** 2 + fake**2, g=lambda _, fake: (fake - 1) ** 2)
ink = jaxgan.Metric(
    lambda real, fake: (fake + 1).mean() / (real + 1).mean(),
    of="samples",
    better="as real",
    definition="ink of a generated picture over that of a real one",
)


def heard(moment):
    """Called every so many steps; returns "stop" to end a training."""
    seen.append((moment.step, float(moment.row.get("d_loss", np.nan))))


seen = []
recipe = Recipe(
    generator=Drawer(),
    discriminator=Judging(),
    loss=squares,
    penalty=Penalty("r1_r2", gamma=0.1),
    g_optimizer=Adam(learning_rate=2e-3),
    d_optimizer=Adam(learning_rate=2e-3),
    ema_half_life=2_000.0,
    batch_size=64,
    steps=steps(1_500),
    eval_metrics=(ink,),
    log_interval=steps(100),
    sample_interval=steps(150),
    checkpoint_interval=steps(500),
)

# %% [markdown]
# ## Training
#
# `jaxgan.train` takes the recipe, the folder of the run, and the data. It saves as it goes: if the kernel dies, the same call
# goes on from the last checkpoint, and comes to the same numbers bit for bit.

# %%
with quietly():
    run = jaxgan.train(recipe, "runs/drawings", dataset=DATA, callbacks=[jaxgan.Callback(heard, every_steps=steps(100))])
print(run.path.name, "->", sorted(path.name for path in run.path.iterdir()))
Image(sorted(run.samples.glob("*.png"))[-1])

# %%
rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
print(f"{len(seen)} calls of the callback, the last at step {seen[-1][0]:,}")
print(f"verdict: {rows[-1].get('verdict')}; {'; '.join(rows[-1].get('evidence', []))}")
Image(run.path / "curves.png", width=900)

# %% [markdown]
# ## New drawings
#
# After training D is dropped. `run.sample` draws from the averaged generator, by class if one is asked for by name.

# %%
run.sample(n=16, seed=1, labels="ring")

# %% [markdown]
# ## How good are they?
#
# `jaxgan.evaluate` compares new drawings with real ones, in the pixels themselves or in the features of a network, and measures
# the real ones in the same way: that is the floor, which no generator can be expected to pass by much. Our own figure is among
# them.

# %%
with quietly():
    result = jaxgan.evaluate(run, dataset=DATA, metrics=["prdc", ink], features="pixels", n=60 if SMOKE else 1_000)
rows = [f"| {each.title} | {each.mean:.3f} | {each.floor:.3f} | {each.better} |" for each in result.values.values()]
Markdown("\n".join(["| figure | reached | real | better |", "|---|---:|---:|---|", *rows]))

# %% [markdown]
# ## Into a file
#
# Classes of a notebook live in its memory: another process cannot find them, and such a run says so when it is opened there. In
# a file every process finds them. A file that defines `recipe` is trained by its name, from Python and from the command line
# (`jaxgan train rings.py --generator.width 32`), and its fields are options.

# %%
FILE = '''"""Points of two noisy rings in the plane: a table of two columns."""

import numpy as np

import jaxgan
from jaxgan.recipes import MLP, Adam, MLPDiscriminator, Recipe


def rings():
    draw = np.random.default_rng(0)
    angle, radius = draw.uniform(0, 2 * np.pi, 4_000), draw.choice([1.0, 2.0], 4_000) + 0.05 * draw.standard_normal(4_000)
    return jaxgan.data.from_array(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), name="rings")


fast = Adam(learning_rate=1e-3)
recipe = Recipe(
    data=rings,
    generator=MLP(width=64, depth=3, latent_dim=4),
    discriminator=MLPDiscriminator(width=64, depth=3),
    g_optimizer=fast,
    d_optimizer=fast,
    batch_size=256,
    steps=3_000,
)
'''
Path("rings.py").write_text(FILE)
print(FILE)

# %%
with quietly():
    filed = jaxgan.train("rings.py", steps=steps(3_000), log_interval=steps(500), sample_interval=steps(3_000))
filed.sample(n=2_000)

# %% [markdown]
# To go on with another learning rate, pass `change=True`; the run's `recipe.json` keeps what changed at which step.

# %%
slow = Adam(learning_rate=1e-4)
with quietly():
    changed = jaxgan.train(filed, change=True, steps=steps(3_000) + steps(500), g_optimizer=slow, d_optimizer=slow)
print(json.dumps(json.loads((changed.path / "recipe.json").read_text())["changes"], indent=1)[:600])

# %% [markdown]
# The library's own recipes are files of this form, in `jaxgan/recipes/named/`; `jaxgan/recipes/README.md` says what a part may
# be, and `jaxgan/data/README.md` shows signals, volumes and fields in kelvin.
