"""A state's fitness to be saved: what holds a NaN is no checkpoint to come back to."""

import jax
import jax.numpy as jnp

from jaxgan.core.types import GANState


def unfit(state: GANState, *, several: bool) -> str | None:
    """Names an array that is not fit to be saved: parameters or averages that are not finite, moments that are not numbers.

    Moments may be infinite, as some optimizers begin.

    Args:
        state: of one GAN, or of several side by side.
        several: which; they are wrong where all of them are.

    Returns:
        The array's name, of several GANs' the first one's; None of a state that is right.
    """
    parts = {  # in the order in which a NaN spreads
        "g": {"params": state.g.params, "stats": state.g.stats},
        "d": {"params": state.d.params, "stats": state.d.stats},
        "ema": {"params": state.ema.params, "stats": state.ema.stats},
        "moments": {"g": state.g.opt, "d": state.d.opt, "memory": state.memory},
    }
    floats = [
        (f"{part}/{jax.tree_util.keystr(path, simple=True, separator='/')}", leaf)
        for part, tree in parts.items()
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size
    ]
    if not floats:
        return None
    names, leaves = zip(*floats, strict=True)
    strict = tuple(not name.startswith("moments") for name in names)
    fine = jax.device_get(_fine(leaves, strict, several))  # [leaves], or [leaves, GANs]
    if fine.all(axis=0).any():
        return None
    bad = ~(fine if fine.ndim == 1 else fine[:, 0])
    return str(names[int(bad.argmax())])


def _each(leaves: tuple[jax.Array, ...], strict: tuple[bool, ...], several: bool) -> jax.Array:
    count = max(leaf.shape[0] for leaf in leaves if leaf.ndim) if several else 1

    def one(leaf: jax.Array, strict: bool) -> jax.Array:
        right = jnp.isfinite(leaf) if strict else ~jnp.isnan(leaf)
        if not several:
            return right.all()
        return jnp.broadcast_to(right.all(axis=tuple(range(1, leaf.ndim))) if leaf.ndim else right, (count,))

    return jnp.stack([one(leaf, must) for leaf, must in zip(leaves, strict, strict=True)])


_fine = jax.jit(_each, static_argnums=(1, 2))
