"""Hooks of the user's in training: callbacks that are called now and then, and writers that take each row of metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxgan.core.types import GAN, GANState
from jaxgan.system.messages import FieldError, kind_of, shown


class Moment(NamedTuple):
    """A moment of training, as a callback sees it.

    The state's buffers are the next step's: whoever keeps an array of them copies it (`jax.device_get`).
    """

    step: int  # steps made
    images: int  # shown to D
    state: GANState  # of all GANs that are trained side by side
    gan: GAN
    row: dict[str, Any]  # the latest row of metrics; {} before the first
    due: frozenset[str]  # what else is done now: "row", "sample", "checkpoint", "end"

    def __repr__(self) -> str:
        """Tells when it is and what is due instead of printing every number."""
        due = ", ".join(sorted(self.due)) or "nothing"
        return f"Moment(step={self.step}, images={self.images}, row of {len(self.row)} figures, due: {due})"


class Act(Protocol):
    """A callback's function."""

    def __call__(self, moment: Moment, /) -> Any:
        """Acts; returns "stop" to have the state saved and training ended."""


class Writer(Protocol):
    """A logger: all that it has to be is a function of a row."""

    def __call__(self, row: dict[str, Any], /) -> Any:
        """Takes one row of metrics, plain values by name, as a line of metrics.jsonl holds them."""


@dataclass(frozen=True)
class Callback:
    """A function of the user's that is called every so many steps, or images shown to D, and at the end."""

    act: Act
    """(moment) -> None, or "stop" to have the state saved and training ended."""
    every_steps: int | None = None
    """Steps from one call to the next."""
    every_images: int | None = None
    """Images shown from one call to the next; the first step at or after each multiple."""

    def __post_init__(self) -> None:
        """Refuses a callback that would never be called.

        Raises:
            FieldError: when not exactly one of the intervals is given, or it is below 1.
        """
        if not callable(self.act):
            raise FieldError("callbacks", kind_of(self.act), "a callback needs a function (moment)")
        given = {name: value for name in ("every_steps", "every_images") if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            has = "has both intervals" if given else "has no interval"
            raise FieldError("callbacks", f"{self.name} {has}", "it needs every_steps=N or every_images=N")
        ((name, value),) = given.items()
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise FieldError(f"callbacks.{name}", shown(value), "it must be a whole number of at least 1")
        object.__setattr__(self, name, int(value))

    @property
    def name(self) -> str:
        """The name of its function, for messages."""
        return str(getattr(self.act, "__name__", type(self.act).__name__))

    def next(self, step: int, images: Callable[[int], int]) -> int:
        """Returns the first step after `step` at which it is due.

        Args:
            step: steps made.
            images: of a step, the images shown before it.
        """
        if self.every_steps is not None:
            return (step // self.every_steps + 1) * self.every_steps
        assert self.every_images is not None
        each = images(step + 1) - images(step)
        wanted = (images(step) // self.every_images + 1) * self.every_images
        return step + -(-(wanted - images(step)) // each)
