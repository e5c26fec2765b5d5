"""A local page on which a generator is explored."""

import logging
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxgan.commands.explore.inverting import inverter
from jaxgan.commands.sampler import load_sampler
from jaxgan.latent import kept
from jaxgan.pages import answers, guard, place, server
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError, tell
from jaxgan.weights.portable import Sampler

log = logging.getLogger("jaxgan")
_MOST = 8  # directions of one name
_BATCH = 8  # samples at a time: programs for 1 and for 8 are compiled


@environment.fixed()
def explore(path: str | Path, *, port: int = 8765, host: str = "127.0.0.1", browser: bool = True, **of_run: Any) -> int:
    """Serves a page on which a generator is explored, until a signal or Ctrl-C ends it.

    Args:
        path: a run, or the `.safetensors` or `.jaxgan` file of one.
        port: that the page listens at; 0 for any that is free.
        host: address that the page listens at. Any other than 127.0.0.1 lets other machines see the samples.
        browser: open the page in a browser, where there is a screen.
        **of_run: `member`, `best`, `strict`, `code`, `trust_run_code`, as for `load_sampler`.

    Returns:
        The number of the signal that ended it.

    Raises:
        ValueError, FileNotFoundError: one line, when an argument is not allowed, a library is not installed, or the address
            is not to be had.
    """
    server.check_installed()
    with server.bound(host, port) as listening:
        sampler = load_sampler(path, batch=_BATCH, **of_run)
        tell("explore: compiling")
        halfway = [("x", "0.5")] if place.mixes(sampler.about) else []
        place.samples_at(place.parse(halfway, sampler, {}), sampler, {})
        whole = files.home_expanded(path).absolute()
        explored = answers.Explored(whole.name, sampler, directions(whole, sampler), inverter(whole, sampler, of_run))
        address = server.address_of(listening, host)
        if not guard.is_loopback(host):
            log.warning("%s: other machines reach this page; nobody is asked for a password", address)
        print(address, flush=True)
        log.info("Ctrl-C ends it")
        if browser and _has_screen():
            webbrowser.open_new_tab(address)
        return server.serve(answers.application(explored, host), listening)


def directions(path: Path, sampler: Sampler) -> dict[str, NDArray[np.float32]]:
    """Returns the directions of latents that are kept beside a run or file, `[D]` by `NAME:NUMBER`, the first 8 of each name.

    Those of styles are left out, which a sampler does not take, and so is a file that is damaged; a line tells.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for name in kept.names(path):
        try:
            held = kept.read(path, name)
            if held.space != "z" or held.vectors.shape[1] != sampler.about.latent_dim:
                raise FieldError("direction", name, "it is not one of this generator's z", link=" is left out: ")
        except FieldError as error:
            log.warning("%s", error)
            continue
        found |= {f"{name}:{i}": vector.astype(np.float32) for i, vector in enumerate(held.vectors[:_MOST], 1)}
    return found


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
