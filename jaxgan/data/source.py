"""Sources of samples, and the order in which they are drawn."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxgan.core.units import Facts
from jaxgan.system.messages import FieldError

Arrays = tuple[np.ndarray, np.ndarray]  # samples [N, ...] in the user's units, channels last; labels [N] int32


class Source(NamedTuple):
    """Samples that can be read by number."""

    name: str
    split: str
    size: int
    shape: tuple[int, ...]  # of one, channels last
    class_names: tuple[str, ...]
    read: Callable[[np.ndarray], Arrays]  # numbers in [0, size) -> those images
    everything: Callable[[], Arrays]  # all of them, from a cache where there is one
    dtype: str = "uint8"
    origin: str = ""  # where from, when the name does not say all
    facts: Callable[[], Facts] | None = None  # without reading all samples, for a set that is streamed
    unit: str = ""  # of the values, where the set knows it
    columns: tuple[str, ...] = ()  # names of a vector's numbers, likewise
    condition: Any = None  # of the samples, as `conditions.with_condition` takes it
    shown: Any = None  # likewise


def rows(seed: int, size: int, start: int, count: int) -> np.ndarray:
    r"""Returns which images stand at positions start .. start + count of the endless stream of a data set.

    The stream is the concatenation of one permutation per epoch,
    `stream[p] = permutation(seed, p // size)[p % size]`, so that every image comes once in each epoch, batches
    may span two epochs, and any position can be asked for without what came before it.

    Args:
        seed: of the order, 0 <= seed < 2**63.
        size: images in the set.
        start: first position, from 0.
        count: positions.

    Returns:
        `[count]` int32 in [0, size).
    """
    positions = np.arange(start, start + count)
    epochs, offsets = positions // size, positions % size
    found = np.empty(count, np.int32)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
        here = epochs == epoch
        found[here] = permutation(seed, epoch, size)[offsets[here]]
    return found


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """A permutation of range(size) that depends on (seed, epoch) alone, read-only.

    The argsort of a counter-based generator's raw words: unlike `numpy.random.Generator.permutation`, whose stream
    may change from one numpy to the next, Philox's words are specified (Salmon et al. 2011, Parallel Random Numbers:
    As Easy as 1, 2, 3).
    """
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(size)
    order = np.argsort(words, kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def check_draw(seed: Any, batch_size: Any, sharding: NamedSharding | None) -> None:
    """Refuses a seed or a batch size that no draw can have.

    Raises:
        FieldError: with the field, its value and what is allowed.
    """
    if not 0 <= operator.index(seed) < 2**63:
        raise FieldError("seed", seed, "it must be from 0 to 2**63 - 1")
    if operator.index(batch_size) < 1:
        raise FieldError("batch_size", batch_size, "it must be at least 1")
    if sharding is not None:
        try:
            sharding.shard_shape((batch_size,))
        except ValueError:
            allowed = f"it must be divisible among {sharding.num_devices} devices"
            raise FieldError("batch_size", batch_size, allowed) from None


def check_step(step: Any, steps: Any) -> tuple[int, int]:
    """The step and the number of steps as Python integers.

    Raises:
        ValueError: when either is out of range.
    """
    step, steps = operator.index(step), operator.index(steps)
    if step < 0 or steps < 1:
        raise ValueError(f"step: {step}, steps: {steps}, but they must be at least 0 and 1")
    return step, steps


def over_steps(sharding: NamedSharding) -> NamedSharding:
    """The sharding of `[steps, B, ...]`, given that of `[B, ...]`: every device holds its rows of each step."""
    return NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))


def to_float(images: jax.Array) -> jax.Array:
    """Pixels as networks see them: `uint8 / 127.5 - 1`, so that 0 and 255 become -1 and 1; floats as they are."""
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    # One exact subtraction and one rounding: XLA makes a product of the division, and then 255 exceeds 1.
    return (images.astype(jnp.float32) - 127.5) * (1 / 127.5)


def local_rows(batch_size: int, sharding: NamedSharding | None) -> tuple[int, int]:
    """The rows of a batch that this process has to read, from the first to past the last."""
    if sharding is None:
        return 0, batch_size
    indices = sharding.addressable_devices_indices_map((batch_size,)).values()
    parts = [index[0].indices(batch_size) for index in indices if index is not None]
    return min(part[0] for part in parts), max(part[1] for part in parts)


def placed(batch_size: int, first: int, sharding: NamedSharding | None) -> Callable[[np.ndarray], jax.Array]:
    """A function that puts this process's rows of `[steps, B, ...]` where the sharding wants them."""
    if sharding is None:
        return jax.device_put
    placement = over_steps(sharding)

    def put(local: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...] | None) -> np.ndarray:
            assert index is not None  # only an opaque dtype, a key, has none
            start, stop, _ = index[1].indices(batch_size)
            return local[:, start - first : stop - first]

        return jax.make_array_from_callback((local.shape[0], batch_size, *local.shape[2:]), placement, part)

    return put
