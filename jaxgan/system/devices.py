"""Placement of arrays: all devices of all processes are along one axis, `data`; an array is replicated or sharded over it."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

PyTree = Any
_LEAST = 2**14  # numbers in a leaf: a smaller one costs more to gather than it saves


def line(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis, `data`; of all devices of all processes by default."""
    return Mesh(np.array(jax.devices() if devices is None else devices), ("data",), axis_types=(AxisType.Auto,))


def known(mesh: Mesh | AbstractMesh) -> contextlib.AbstractContextManager[object]:
    """Within it, also while `jax.jit` traces, layers know the devices over which a batch is cut."""
    return jax.sharding.use_abstract_mesh(mesh if isinstance(mesh, AbstractMesh) else mesh.abstract_mesh)


def dividing(count: int) -> AbstractMesh | None:
    """The mesh that is set (`known`, `jax.set_mesh`), if its devices divide so many; None of a single device."""
    mesh = _set()
    return mesh if mesh is not None and count % mesh.size == 0 else None


def everywhere(tree: PyTree) -> PyTree:
    """Under `jax.jit`, the same arrays, whole on each device of the mesh that is set; where none is, as they are."""
    return tree if _set() is None else jax.lax.with_sharding_constraint(tree, PartitionSpec())


def _set() -> AbstractMesh | None:
    """The mesh over which XLA cuts arrays, if one of several devices is set; within `jax.shard_map` it cuts none."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if mesh.size > 1 and all(kind == AxisType.Auto for kind in mesh.axis_types) else None


def whole(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """All of an array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def in_parts(mesh: Mesh) -> NamedSharding:
    """A batch, cut along its first axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def cut(shape: tuple[int, ...], mesh: Mesh | AbstractMesh) -> NamedSharding:
    """An array cut along its largest axis that the devices divide; one of under 16,384 numbers stays whole."""
    axes = [axis for axis, size in enumerate(shape) if size % mesh.size == 0]
    if math.prod(shape) < _LEAST or not axes:
        return whole(mesh)
    largest = max(axes, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * largest, "data"))


def put(tree: PyTree, sharding: NamedSharding) -> PyTree:
    """Host arrays that every process has, over the devices. Nothing is sent from one process to another.

    Among several processes `jax.device_put` would compare the arrays first, by gathering all of them on each.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: x[index]), tree)


def here(tree: PyTree) -> PyTree:
    """Returns what this process alone can compute with: whole arrays on its own devices.

    Leaves that are cut are gathered by all processes together, so all of them must call this where one does, in the same
    order; leaves that are whole on each device are taken as they are, without a copy.
    """
    leaves, form = jax.tree.flatten(tree)
    apart = [i for i, leaf in enumerate(leaves) if not leaf.sharding.is_fully_replicated]
    if apart:
        everywhere = whole(leaves[apart[0]].sharding.mesh)
        gathered = jax.jit(_same, out_shardings=everywhere)([leaves[i] for i in apart])
        for i, leaf in zip(apart, gathered, strict=True):
            leaves[i] = leaf
    mine = [leaf if leaf.is_fully_addressable else leaf.addressable_data(0) for leaf in leaves]
    return jax.tree.unflatten(form, mine)


def _same(tree: PyTree) -> PyTree:  # one function, so that gathering compiles once
    return tree
