"""Checksums of arrays, and the table of names, kinds and checksums that is kept beside the arrays of a checkpoint."""

import json
import zlib
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.core.types import PyTree

FORMAT = 2  # of what is kept beside the arrays; 1, which named no format, is read too


def table_of(tree: PyTree) -> dict[str, list[Any]]:
    """Returns the table that is kept beside the arrays: `{name: [kind, checksum], ...}`."""
    leaves = _leaves(tree)
    if any(not leaf.sharding.is_fully_replicated for leaf in leaves.values()):
        # One by one: virtual CPU devices that wait for each other in several sums at once may wait for ever.
        checksums = {name: jax.device_get(_checksum(leaf)) for name, leaf in leaves.items()}
    else:
        checksums = jax.device_get(jax.tree.map(_checksum, leaves))  # all are under way before the first is awaited
    return {name: [kind, int(checksums[name])] for name, kind in kinds_of(tree).items()}


def _leaves(tree: PyTree) -> dict[str, Any]:
    """`{"g/params/Dense_0/kernel": leaf, ...}`"""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def kinds_of(tree: PyTree) -> dict[str, str]:
    """`{"g/params/Dense_0/kernel": "float32[64,128]", ...}`"""
    return {name: f"{x.dtype}[{','.join(map(str, x.shape))}]" for name, x in _leaves(tree).items()}


def digest_of(kept: Any) -> int:
    """Returns the digest of format and table: without it a flipped bit would look like a newer version or another network."""
    return zlib.crc32(json.dumps(kept, sort_keys=True).encode())


def checksum(x: jax.Array) -> jax.Array:
    r"""One number that depends on every bit of an array and on where it is, not on how it is laid out on devices.

    `sum_i mix(w_i xor mix(i + 1)) mod 2^32` over the 32-bit words w, with a bijective `mix`: one changed word always
    shows, any other damage with probability 1 - 2^-32. Integers, so that the order of summation does not matter.

    Args:
        x: an array of any shape and dtype, or typed PRNG keys.

    Returns:
        Scalar uint32.

    References:
        Wellons 2018, Prospecting for Hash Functions: the mixing function lowbias32.
    """
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        x = jnp.stack([x.real, x.imag], -1)
    if x.dtype.itemsize == 8:
        x = lax.bitcast_convert_type(x, jnp.uint32)
    elif jnp.issubdtype(x.dtype, jnp.floating):
        x = lax.bitcast_convert_type(x, {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize])
    index, stride = jnp.ones((), jnp.uint32), 1
    for axis in reversed(range(x.ndim)):  # not reshape(-1), which would gather a sharded array
        index = index + lax.broadcasted_iota(jnp.uint32, x.shape, axis) * jnp.uint32(stride % 2**32)
        stride *= x.shape[axis]
    return _mix(x.astype(jnp.uint32) ^ _mix(index)).sum(dtype=jnp.uint32)


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


_checksum = jax.jit(checksum)  # one compilation per shape, and the optimizer's moments share their parameters' shapes
