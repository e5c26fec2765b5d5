"""Optimizers as parts of a recipe: a frozen dataclass each, any of Optax.

`build(schedules)` returns the `optax.GradientTransformation`, and so does `build()` of a part that follows no schedule.
`schedules` tells over how many images the recipe's schedules run, and makes them (`Schedules`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from jaxgan.recipes.fields import Within

Rate = Annotated[float, Within(0, 10)]
FinalRate = Annotated[float | None, Within(0, 10)]
Moment = Annotated[float, Within(0, 0.999999)]
FinalMoment = Annotated[float | None, Within(0, 0.999999)]
Way = Literal["cosine", "linear"]


@dataclass(frozen=True)
class Schedules:
    """Schedules over the images of a recipe, for an optimizer that makes `1 / share` times as many updates as steps.

    A lazy penalty brings updates of its own: with it an interval of n steps holds n + 1 updates, and each must do so much
    less, so that rates are multiplied by `share = n / (n + 1)` and decays taken to that power (Karras et al. 2020,
    StyleGAN2, appendix B).
    """

    decay_images: int
    """Images shown to D after which every schedule has reached its final value."""
    share: float = 1.0
    """Steps for each update."""

    def rate(self, start: float, end: float | None = None, way: Way = "cosine") -> Any:
        """Returns a learning rate, times `share`: a number, or a schedule in images shown where `end` is given."""
        from jaxgan.core import schedules

        start = start * self.share
        if end is None:
            return start
        return (schedules.linear if way == "linear" else schedules.cosine)(start, end * self.share, self.decay_images)

    def decay(self, start: float, end: float | None = None) -> Any:
        """Returns a moment's decay for each update, to the power `share`: a number, or a schedule along half a cosine."""
        from jaxgan.core import schedules

        start = start**self.share
        return start if end is None else schedules.cosine(start, end**self.share, self.decay_images)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015)."""

    learning_rate: Rate = 2e-4
    """Step size at the first image."""
    final_learning_rate: FinalRate = None
    """Step size after `decay_images`; constant when None."""
    decay: Way = "cosine"
    """Its way there: half a cosine or a straight line."""
    beta1: Moment = 0.0
    """Decay of the first moment, per update."""
    beta2: Moment = 0.99
    """Decay of the second moment, per update, at the first image."""
    final_beta2: FinalMoment = None
    """Its value after `decay_images`, reached along half a cosine; constant when None."""

    def build(self, schedules: Schedules) -> Any:
        """Returns `optax.adam` with these schedules."""
        import optax

        return _scheduled(
            optax.adam,
            learning_rate=schedules.rate(self.learning_rate, self.final_learning_rate, self.decay),
            b1=self.beta1**schedules.share,
            b2=schedules.decay(self.beta2, self.final_beta2),
        )


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    learning_rate: Rate = 2e-4
    """Step size at the first image."""
    final_learning_rate: FinalRate = None
    """Step size after `decay_images`; constant when None."""
    decay: Way = "cosine"
    """Its way there: half a cosine or a straight line."""
    beta1: Moment = 0.0
    """Decay of the first moment, per update."""
    beta2: Moment = 0.99
    """Decay of the second moment, per update."""
    weight_decay: Annotated[float, Within(0, 10)] = 1e-4
    """Share of the parameters, times the learning rate, that each update takes away."""

    def build(self, schedules: Schedules) -> Any:
        """Returns `optax.adamw` with these schedules."""
        import optax

        return _scheduled(
            optax.adamw,
            learning_rate=schedules.rate(self.learning_rate, self.final_learning_rate, self.decay),
            b1=self.beta1**schedules.share,
            b2=schedules.decay(self.beta2),
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True)
class RMSProp:
    """RMSProp (Hinton 2012), the optimizer of the first Wasserstein GANs."""

    learning_rate: Rate = 5e-5
    """Step size at the first image."""
    final_learning_rate: FinalRate = None
    """Step size after `decay_images`; constant when None."""
    way: Way = "cosine"
    """Its way there: half a cosine or a straight line."""
    decay: Moment = 0.99
    """Decay of the squared gradients' mean, per update."""

    def build(self, schedules: Schedules) -> Any:
        """Returns `optax.rmsprop` with these schedules."""
        import optax

        return _scheduled(
            optax.rmsprop,
            learning_rate=schedules.rate(self.learning_rate, self.final_learning_rate, self.way),
            decay=schedules.decay(self.decay),
        )


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum where asked for."""

    learning_rate: Rate = 1e-2
    """Step size at the first image."""
    final_learning_rate: FinalRate = None
    """Step size after `decay_images`; constant when None."""
    decay: Way = "cosine"
    """Its way there: half a cosine or a straight line."""
    momentum: Moment = 0.0
    """Share of the update before that is added to each; 0 for none."""

    def build(self, schedules: Schedules) -> Any:
        """Returns `optax.sgd` with these schedules."""
        import optax

        rate = schedules.rate(self.learning_rate, self.final_learning_rate, self.decay)
        return _scheduled(optax.sgd, learning_rate=rate, momentum=self.momentum or None)


def _scheduled(factory: Callable[..., Any], **hyperparameters: Any) -> Any:
    from jaxgan.core import schedules

    return schedules.scheduled(factory, **hyperparameters)
