"""Weights that a run begins with: those of another run or file, as far as names and shapes agree."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core.types import GANState, PyTree, Weights
from jaxgan.recipes import record
from jaxgan.system import devices, files
from jaxgan.system.messages import FieldError
from jaxgan.training import runs, tensors
from jaxgan.training.experiment import Experiment

log = logging.getLogger("jaxgan")


class Found(NamedTuple):
    """Weights of each player by the names of their tensors, arrays on the host."""

    g: dict[str, np.ndarray]
    average: dict[str, np.ndarray]
    d: dict[str, np.ndarray]


def find(source: str, experiment: Experiment) -> Found:
    """Reads the weights that an experiment begins with, and says which of its tensors they are.

    Args:
        source: a run's folder, or a .safetensors file as `jaxgan export` writes it.
        experiment: what is to be trained.

    Raises:
        FieldError: when it is neither, or none of its tensors has the name and shape of one here.
        FileNotFoundError: when it is not there.
    """
    place = files.home_expanded(source, "init_from")
    found, words = _from_run(place) if record.is_run(place) else _from_file(place)
    here = experiment.abstract
    counts = []
    for player, there, wanted in (("G", found.average, here.ema), ("D", found.d, Weights(here.d.params, here.d.stats))):
        names = _named(wanted)
        taken = [name for name, x in names.items() if _fits(there.get(name), x)]
        new = [name for name in names if name not in taken]
        counts.append(len(taken))
        log.info("init_from %s: %d of %d tensors of %s%s", words, len(taken), len(names), player, _listed(new))
    if not any(counts):
        raise FieldError("init_from", source, "none of its tensors has the name and shape of one of these networks")
    return found


def apply(found: Found, state: GANState) -> GANState:
    """Returns a fresh state with the weights that were found in the place of its own."""
    g, d, average = (
        _taken(there, part)
        for there, part in (
            (found.g, Weights(state.g.params, state.g.stats)),
            (found.d, Weights(state.d.params, state.d.stats)),
            (found.average, state.ema),
        )
    )
    return state._replace(
        g=state.g._replace(params=g.params, stats=g.stats), d=state.d._replace(params=d.params, stats=d.stats), ema=average
    )


def _from_run(path: Path) -> tuple[Found, str]:
    run = runs.read(path)
    experiment = run.experiment()
    if experiment.several:
        raise FieldError("init_from", path, "it holds several GANs; export one, and begin from its file")
    state = runs.restore(run, experiment)
    g, d = (Weights(player.params, player.stats) for player in (state.g, state.d))
    found = Found(*(_named(jax.device_get(each)) for each in (g, state.ema, d)))
    return found, f"{path} at step {int(state.step):,}"


def _from_file(path: Path) -> tuple[Found, str]:
    if path.suffix != ".safetensors":
        if not path.exists():
            raise FileNotFoundError(f"init_from: {path} does not exist")
        raise FieldError("init_from", path, "it must be a run or a .safetensors file")
    loaded = tensors.load(path)
    average = _named(loaded.generator)
    return Found(average, average, {} if loaded.discriminator is None else _named(loaded.discriminator)), str(path)


def _named(weights: Weights) -> dict[str, Any]:
    leaves = jax.tree.leaves_with_path({"params": weights.params, "stats": weights.stats})
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _fits(there: Any, wanted: Any) -> bool:
    return there is not None and there.shape == wanted.shape and there.dtype == wanted.dtype


def _taken(there: dict[str, np.ndarray], own: Weights) -> Weights:
    def take(path: Any, leaf: jax.Array) -> PyTree:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not _fits(there.get(name), leaf):
            return leaf
        assert isinstance(leaf.sharding, NamedSharding)
        return devices.put(np.asarray(there[name]), leaf.sharding)

    tree = jax.tree_util.tree_map_with_path(take, {"params": own.params, "stats": own.stats})
    return Weights(tree["params"], tree["stats"])


def _listed(new: list[str]) -> str:
    shown = ", ".join(new[:4]) + (f" and {len(new) - 4} more" if len(new) > 4 else "")
    return f"; new: {shown}" if new else ""
