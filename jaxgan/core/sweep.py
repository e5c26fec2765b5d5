"""Several GANs in one program: training is a pure function, so `jax.vmap` over it trains many at once.

No member has an effect on another: member i is the GAN that would have been trained alone, up to the order of floating-point
sums. Seeds give a mean and a standard error; values of a hyperparameter give a sweep.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from jaxgan.core.types import GAN, Batch, Condition, GANState, Images, Info, Key, Labels, Latents, PyTree, Weights
from jaxgan.system import devices

# Axes of the members: all are at the same step.
_AXES: Any = GANState._make(None if name == "step" else 0 for name in GANState._fields)


def side_by_side(gan_of: Callable[[Any], GAN], varied: PyTree = None) -> GAN:
    """N GANs as one, each function of it mapped over a leading axis of members.

    Args:
        gan_of: makes one GAN of one member's `varied`; only arrays may differ, not shapes.
        varied: what differs besides the key, leaves `[N, ...]`; None when only the keys do.

    Returns:
        A `GAN`. `init(keys [N])` and `step(state, batch, keys [N])` with images `[N, B, ...]` and labels `[N, B]`: the
        state's leaves have a leading axis N but for `step`, and so has each scalar of `info`. Where a mesh is set whose
        devices divide N (`devices.known`), each takes the steps of its own members.
        `sample(weights, key, labels [B])`, the weights' leaves `[N, ...]`, gives all members the same latents and
        returns `[N, B, ...]`.
    """

    def init(keys: Key) -> GANState:
        return jax.vmap(lambda key, each: gan_of(each).init(key), out_axes=_AXES)(keys, varied)

    def step(state: GANState, batch: Batch, keys: Key) -> tuple[GANState, Info]:
        def one(state: GANState, batch: Batch, key: Key, each: PyTree) -> tuple[GANState, Info]:
            return gan_of(each).step(state, batch, key)

        mapped = jax.vmap(one, in_axes=(_AXES, 0, 0, 0), out_axes=(_AXES, 0))
        mesh = devices.dividing(len(keys))
        if mesh is None:
            return mapped(state, batch, keys, varied)
        # Left to itself, XLA's partitioner gathers kernels and images: those of N networks are one convolution in N groups.
        cut = PartitionSpec(mesh.axis_names)
        states: Any = GANState._make(PartitionSpec() if name == "step" else cut for name in GANState._fields)
        apart = jax.shard_map(mapped, in_specs=(states, cut, cut, cut), out_specs=(states, cut), check_vma=False)
        after: tuple[GANState, Info] = apart(state, batch, keys, varied)
        return after

    def sample(
        weights: Weights | GANState,
        key: Key,
        labels: Labels | Condition | int | None = None,
        *,
        n: int | None = None,
        z: Latents | None = None,
        first: int | jax.Array = 0,
        truncation: float | None = None,
    ) -> Images:
        def one(weights: Weights, each: PyTree) -> Images:
            return gan_of(each).sample(weights, key, labels, n=n, z=z, first=first, truncation=truncation)

        return jax.vmap(one)(weights.ema if isinstance(weights, GANState) else weights, varied)

    return GAN(init, step, sample)


def summary(values: Sequence[float] | np.ndarray) -> tuple[float | None, float | None]:
    """Mean and standard error over the members whose value is finite, `s / sqrt(n)`; None where there are too few.

    Args:
        values: `[N]`.

    Returns:
        `(mean, standard error)`; the first needs one finite value, the second two.
    """
    there = np.asarray(values, np.float64)
    there = there[np.isfinite(there)]
    mean = float(there.mean()) if len(there) else None
    return mean, float(there.std(ddof=1) / math.sqrt(len(there))) if len(there) > 1 else None


def member(state: GANState, i: int) -> GANState:
    """The state of member i, `[N, ...]` to `[...]`, as if it had been trained alone."""
    taken = jax.tree.map(lambda x: x[i], (state.g, state.d, state.ema, state.memory))
    return GANState(state.step, *taken)
