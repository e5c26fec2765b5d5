"""The words this library is written in: shapes, and the four small records everything else passes around."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

PyTree = Any
Key = jax.Array  # a typed PRNG key, jax.random.key(seed)
Images = jax.Array  # [B, H, W, C] float32 in [-1, 1]; [B, 2] for points in the plane
Labels = jax.Array  # [B] int32, zeros when unconditional
Latents = jax.Array  # [B, D] float32
Logits = jax.Array  # [B] float32, higher means more real
# D with everything but the images held fixed. It takes k batches at once when they are interleaved image by image,
# x_0 y_0 x_1 y_1 ..: so that they share the labels, and so that a batch sharded over devices stays where it is.
Critic = Callable[[Images], Logits]
Batch = dict[str, jax.Array]  # {"image": Images, "label": Labels}
Info = dict[str, jax.Array]  # flat, scalars only
Schedule = Callable[[jax.Array], jax.Array]  # images shown -> value
Penalty = Callable[[Critic, Images, Images, Key], jax.Array]  # (critic, real, fake, key) -> [B], or [B / m] of packs of m
Augment = Callable[[Key, Images, jax.Array], Images]  # (key, images, strength) -> images


class Network(NamedTuple):
    """Two pure functions; nothing else in the library knows which framework is behind them."""

    init: Callable[[Key], tuple[PyTree, PyTree]]  # key -> (params, stats)
    apply: Callable[..., tuple[jax.Array, PyTree]]  # (params, stats, x, labels, key, *, train) -> (y, stats)
    # Does a sample's output depend on the others in its batch (batch statistics, minibatch standard
    # deviation)? Then real and fake images must pass through D apart. True is always correct; False is faster.
    couples: bool = True
    # A generator that first maps z to styles w, and then w to images, offers both halves, so that truncation and path
    # lengths are functions of w: map (params, stats, z, labels, key, *, train, truncation=None) -> (w, stats) and
    # synthesize (params, stats, w, key, *, train) -> images.
    map: Callable[..., tuple[jax.Array, PyTree]] | None = None
    synthesize: Callable[..., Images] | None = None


class Loss(NamedTuple):
    """An objective: each function maps `(real_logits [B], fake_logits [B])` to `[B]`, to be minimised."""

    d: Callable[[Logits, Logits], jax.Array]
    g: Callable[[Logits, Logits], jax.Array]

    @property
    def relativistic(self) -> bool:
        """Whether G's loss looks at the real logits, so that G's step needs real images of its own."""
        logits = jax.ShapeDtypeStruct((2,), jnp.float32)
        jaxpr = jax.make_jaxpr(self.g)(logits, logits).jaxpr
        return any(jaxpr.invars[0] in eqn.invars for eqn in jaxpr.eqns)


class GPenalty(NamedTuple):
    """A penalty on G that remembers: a running average, a scalar, goes from one use to the next."""

    init: Callable[[], jax.Array]
    apply: Callable[..., tuple[jax.Array, jax.Array]]  # (params, stats, z, labels, key, average) -> (penalty [B'], average)


class Adaptive(NamedTuple):
    """A number that training steers by what D says of real images; what it remembers is part of the state."""

    init: Callable[[], PyTree]  # () -> memory
    value: Callable[[PyTree], jax.Array]  # memory -> the number now
    update: Callable[[PyTree, jax.Array, int], PyTree]  # (memory, mean sign of D's real logits, images shown) -> memory


class Weights(NamedTuple):
    """Parameters and statistics of one network: all that sampling needs."""

    params: PyTree
    stats: PyTree


class Player(NamedTuple):
    """Everything one network owns while it plays."""

    params: PyTree
    stats: PyTree
    opt: PyTree


class GANState(NamedTuple):
    """The whole state of training; with the run's key and the data it determines everything that follows."""

    step: jax.Array  # int32, G updates made
    g: Player
    d: Player
    ema: Weights  # the averaged generator
    memory: PyTree  # a dict of what remembers besides: "augment_strength", "g_penalty"; mostly empty


class GAN(NamedTuple):
    """Three pure functions, none of them jitted."""

    init: Callable[[Key], GANState]
    step: Callable[[GANState, Batch, Key], tuple[GANState, Info]]
    sample: Callable[..., Images]  # (weights of G, key, labels, *, z=None, first=0, truncation=None) -> Images


class Dataset(NamedTuple):
    """A named source of samples; what it yields is a pure function of the seed and the step."""

    name: str
    split: str
    shape: tuple[int, ...]  # of one sample: (H, W, C), or (2,) for points in the plane
    class_names: tuple[str, ...]  # () when the samples carry no labels
    size: int | None  # None: drawn from a density, without end
    # (seed, batch_size, sharding=None) -> draw;  draw(step, steps=1) -> {"image": [steps, B, ...] float32, "label": [steps, B]}
    batches: Callable[..., Callable[..., Batch]]
