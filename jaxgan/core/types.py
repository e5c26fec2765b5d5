"""The words this library is written in: shapes, the protocols of users' functions, and the records passed around."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxgan.core.protocols import (
    Augment,
    Condition,
    Critic,
    FeatureNet,
    GPenaltyApply,
    Images,
    Judgement,
    Key,
    Labels,
    LatentDistribution,
    Latents,
    Logits,
    LossFunction,
    NetworkApply,
    NetworkFeatures,
    NetworkInit,
    Penalty,
    PyTree,
    Schedule,
    StyleMap,
    Synthesis,
    TermBatch,
    TermFunction,
)
from jaxgan.core.term import Term
from jaxgan.core.units import Facts, Units

__all__ = [
    "GAN",
    "Adaptive",
    "Augment",
    "Batch",
    "Condition",
    "Critic",
    "Dataset",
    "Draws",
    "Facts",
    "FeatureNet",
    "GANInit",
    "GANSample",
    "GANState",
    "GANStep",
    "GPenalty",
    "GPenaltyApply",
    "Images",
    "Info",
    "Judgement",
    "Key",
    "Labels",
    "LatentDistribution",
    "Latents",
    "Logits",
    "Loss",
    "LossFunction",
    "Network",
    "NetworkApply",
    "NetworkFeatures",
    "NetworkInit",
    "Penalty",
    "Player",
    "PyTree",
    "Schedule",
    "StyleMap",
    "Synthesis",
    "Term",
    "TermBatch",
    "TermFunction",
    "Units",
    "Weights",
]

Batch = dict[str, PyTree]  # {"image": Images, "label": Labels}, or with "condition": Condition in the label's place
Info = dict[str, jax.Array]  # flat, scalars only


class Network(NamedTuple):
    """Two pure functions; nothing else in the library knows which framework is behind them."""

    init: NetworkInit
    apply: NetworkApply
    # True where a sample's output depends on the others in its batch (batch statistics, minibatch standard deviation):
    # then real and fake images pass through D apart. True is always correct; False is faster.
    depends_on_batch: bool = True
    # Of a generator that first maps z to styles w, and then w to images: so truncation and path lengths are functions of w.
    map: StyleMap | None = None
    synthesize: Synthesis | None = None
    # Of a discriminator whose features terms of G's loss compare.
    features: NetworkFeatures | None = None


class Loss(NamedTuple):
    """An objective: a loss for each player, and what is known of D's, by which a training run is judged."""

    d: LossFunction
    g: LossFunction
    equilibrium: float | None = None  # D's loss where p_g = p_data and D cannot tell them apart; None: not known
    largest: float | None = None  # a loss above this in absolute value counts as diverged; None: losses have no scale
    # D's logit there; None: not known, or none, as where a constant added to D changes nothing (relativistic losses).
    logit: float | None = None

    @property
    def relativistic(self) -> bool:
        """True where G's loss uses the real logits, so that G's update needs real images of its own."""
        logits = jax.ShapeDtypeStruct((2,), jnp.float32)
        jaxpr = jax.make_jaxpr(self.g)(logits, logits).jaxpr
        return any(jaxpr.invars[0] in eqn.invars for eqn in jaxpr.eqns)


class GPenalty(NamedTuple):
    """A penalty on G that remembers: a running average, a scalar, goes from one use to the next."""

    init: Callable[[], jax.Array]
    apply: GPenaltyApply


class Adaptive(NamedTuple):
    """A number that training steers by the signs of D's logits on real images; its memory is part of the state."""

    init: Callable[[], PyTree]  # () -> memory
    value: Callable[[PyTree], jax.Array]  # memory -> the number now
    update: Callable[[PyTree, jax.Array, int], PyTree]  # (memory, mean sign of D's real logits, images shown) -> memory


class Weights(NamedTuple):
    """Parameters and statistics of one network: all that sampling needs."""

    params: PyTree
    stats: PyTree

    def __repr__(self) -> str:
        """Counts instead of printing every number."""
        return f"Weights(params: {_count(self.params)}, stats: {_count(self.stats)})"


class Player(NamedTuple):
    """Everything one network owns while it plays."""

    params: PyTree
    stats: PyTree
    opt: PyTree

    def __repr__(self) -> str:
        """Counts instead of printing every number."""
        return f"Player(params: {_count(self.params)}, stats: {_count(self.stats)}, opt: {_count(self.opt)})"


class GANState(NamedTuple):
    """The whole state of training; with the run's key and the data it determines everything that follows."""

    step: jax.Array  # int32, G updates made
    g: Player
    d: Player
    ema: Weights  # the averaged generator
    memory: PyTree  # a dict of further memories: "augment_strength", "g_penalty"; mostly empty

    def __repr__(self) -> str:
        """Counts instead of printing every number."""
        memory = f", memory={self.memory}" if self.memory else ""
        return f"GANState(step={self.step}, g={self.g}, d={self.d}, ema={self.ema}{memory})"


def _count(tree: PyTree) -> str:
    """Returns how many numbers a tree holds, in how many arrays."""
    leaves = jax.tree.leaves(tree)
    return f"{sum(getattr(leaf, 'size', 1) for leaf in leaves):,} in {len(leaves)} arrays" if leaves else "none"


class Draws(Protocol):
    """A holder of a generator with the distribution of its latents: the part of a game that sampling needs."""

    @property
    def generator(self) -> Network:
        """G."""
        ...

    @property
    def latent_dim(self) -> int:
        """D, the length of z."""
        ...

    @property
    def latent(self) -> LatentDistribution:
        """The distribution of z."""
        ...


class GANInit(Protocol):
    """The first state."""

    def __call__(self, key: Key, /) -> GANState:
        """Draws both players' first weights."""
        ...


class GANStep(Protocol):
    """One step of training."""

    def __call__(self, state: GANState, batch: Batch, key: Key, /) -> tuple[GANState, Info]:
        """Updates D k times and G once.

        Args:
            state: donated by a caller who jits with `donate_argnums=0`.
            batch: `image [B, ...]` in [-1, 1] and `label [B]` int32, or `condition`, any pytree of arrays `[B, ...]`; cut into
                equal parts, one for each update.
            key: the run's; it never changes.

        Returns:
            The state after the step, and a flat dict of scalars.
        """
        ...


class GANSample(Protocol):
    """Sampling from a generator."""

    def __call__(
        self,
        weights: Weights | GANState,
        key: Key,
        labels: Labels | Condition | int | None = None,
        /,
        *,
        n: int | None = None,
        z: Latents | None = None,
        first: int | jax.Array = 0,
        truncation: float | None = None,
    ) -> Images:
        """Maps latents to images.

        Args:
            weights: of a generator, such as `state.ema`; a whole state stands for that.
            key: draws the latents and the network's own noise.
            labels: `[N]` int32, or one class for all; left out where there are none. Or the condition of each sample, any
                pytree of arrays `[N, ...]`.
            n: number of images, where neither labels `[N]` nor z give it; 1 by default.
            z: `[N, D]`, mapped instead of drawn latents.
            first: index of the first sample; image i depends on the key, its label and `first + i` only.
            truncation: psi, for a generator with a mapping.

        Returns:
            Images `[N, ...]` in [-1, 1].
        """
        ...


class GAN(NamedTuple):
    """Three pure functions, none of them jitted."""

    init: GANInit
    step: GANStep
    sample: GANSample

    def __repr__(self) -> str:
        """Names the three functions instead of printing all that they hold."""
        return "GAN(init, step, sample)"


class Dataset(NamedTuple):
    """A named source of samples; its batches are a pure function of the seed and the step."""

    name: str
    split: str
    shape: tuple[int, ...]  # of one sample, channels last: (F,), (T, C), (H, W, C) or (D, H, W, C)
    class_names: tuple[str, ...]  # () when the samples carry no labels
    size: int | None  # None: drawn from a density, without end
    # (seed, batch_size, sharding=None) -> draw;  draw(step, steps=1) -> {"image": [steps, B, ...] float32, "label": [steps, B]}
    batches: Callable[..., Callable[..., Batch]]
    units: Units | None = None  # of the user's samples; None: images leave as bytes, everything else as it is
    facts: Callable[[], Facts] | None = None  # computed when first asked for; None: nothing is known
    condition: PyTree | None = None  # shapes and dtypes of one sample's; batches then hold "condition", which networks get
    shown: PyTree | None = None  # conditions [M, ...], on the host, that pictures and samples are drawn of by default
