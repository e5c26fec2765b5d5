"""What can be made of a network: another precision, packs, recomputation."""

import functools
from typing import Any

import jax

from jaxgan.core.types import Network
from jaxgan.nets.network import at_precision as at_precision
from jaxgan.nets.network import pack as pack


def rematerialised(network: Network) -> Network:
    """Returns a network whose activations are computed again for the gradients instead of being kept."""

    def apply(params: Any, stats: Any, x: Any, labels: Any, key: Any, *, train: bool) -> Any:
        run = jax.checkpoint(functools.partial(network.apply, train=train))
        return run(params, stats, x, labels, key)

    return network._replace(apply=apply)


def stages(network: Network) -> tuple[str, ...]:
    """Returns the names of the top-level parameter groups in the order of their use."""
    names: list[str] = []

    def init(key: Any) -> Any:
        params, _ = network.init(key)
        names[:] = list(params)
        return params

    jax.eval_shape(init, jax.random.key(0))
    return tuple(names)
