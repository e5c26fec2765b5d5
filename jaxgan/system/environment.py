"""Settings of JAX that change numbers: set to what a run promises while the library works, and what a run records of them."""

import contextlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jaxgan.system.messages import FieldError, shown

_log = logging.getLogger("jaxgan")
# On which the pictures of a seed depend, and with which every run is made: {setting: (name in recipe.json, value)}.
FIXED = {
    "jax_default_prng_impl": ("prng_impl", "threefry2x32"),
    "jax_threefry_partitionable": ("threefry_partitionable", True),
    "jax_random_seed_offset": ("seed_offset", 0),
    "jax_enable_x64": ("x64", False),
}
_warned: set[str] = set()
_processes: set[int] = set()  # those that worked here: this one, and what it was forked from


@contextlib.contextmanager
def fixed() -> Iterator[None]:
    """Sets JAX's random numbers and precision to those of every run, whatever the environment says; restores them after.

    Also a decorator. Threads that start meanwhile have the same settings.
    """
    import jax

    _check_process()
    other = {name: getattr(jax.config, name) for name, (_, value) in FIXED.items() if getattr(jax.config, name) != value}
    if other.keys() - _warned:
        _warned.update(other)
        words = ", ".join(f"{name.upper()}={value}" for name, value in other.items())
        _log.warning("%s: not followed, so that a seed gives the same pictures everywhere", words)
    before = _for_all(list(other))
    with contextlib.ExitStack() as stack:
        for name in other:
            value = FIXED[name][1]
            jax.config.update(name, value)
            stack.callback(jax.config.update, name, before[name])
            # A `with jax.enable_x64()` of the caller's is this thread's own, above what holds for all.
            if getattr(jax.config, name) != value:
                stack.enter_context(getattr(jax, name.removeprefix("jax_"))(value))
        yield


def _check_process() -> None:
    """Refuses a process that was forked from one that worked: JAX's threads are not in it, and it would wait for ever.

    Raises:
        FieldError: in one line, with what to do instead.
    """
    _processes.add(os.getpid())
    if len(_processes) > 1:
        _processes.remove(os.getpid())
        told = 'it was forked from one that computed, whose threads it lacks; use multiprocessing.get_context("spawn")'
        raise FieldError("process", os.getpid(), told)


def _for_all(names: list[str]) -> dict[str, Any]:
    """Returns settings as they are for every thread: a new one has none of the caller's own."""
    import jax

    if not names:
        return {}
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: {name: getattr(jax.config, name) for name in names}).result()


def recorded() -> dict[str, Any]:
    """Returns what recipe.json says of the settings that a run was made with."""
    import jax

    return dict(FIXED.values()) | {"matmul_precision": jax.config.values["jax_default_matmul_precision"]}


def check(content: Any) -> None:
    """Refuses a run that was made with other random numbers or another precision than this version makes.

    Args:
        content: as `recorded` returns it; what is missing is not asked for.

    Raises:
        FieldError: with the setting.
    """
    if not isinstance(content, dict):
        raise FieldError("environment", shown(content), "it must be a set of settings")
    for name, value in FIXED.values():
        if content.get(name, value) != value:
            allowed = f"this version of jaxgan draws and computes with {value} only"
            raise FieldError(f"environment.{name}", shown(content[name]), allowed)
