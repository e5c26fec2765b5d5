"""An experiment: a recipe built once, and passed on to all that trains, draws, measures and plans."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import data
from jaxgan.core import sweep
from jaxgan.core.types import GAN, Dataset, GANState, Key, Latents, Loss, Network, Weights
from jaxgan.recipes import Recipe, members
from jaxgan.system.messages import FieldError
from jaxgan.training.assembly import assemble
from jaxgan.training.dataset import Shape, check_holds, density_of, is_conditional, shape_of
from jaxgan.training.networks import networks_of
from jaxgan.training.user_parts import check_pair
from jaxgan.training.values import latent_of, loss_of


@dataclass(frozen=True, eq=False)
class Experiment:
    """A recipe built once, and the only place that knows if one GAN trains or several side by side."""

    recipe: Recipe
    shape: Shape
    class_names: tuple[str, ...]
    dataset: Dataset | None  # None where only a run is read
    loss: Loss
    generator: Network
    discriminator: Network
    one: GAN  # a single GAN, which draws for each member
    gan: GAN  # all of them
    members: tuple[Recipe, ...]  # as if each had been trained alone
    key: Key  # of the run; of several GANs theirs, [N]
    counted_from: tuple[int, int] = (0, 0)  # a step, and the images shown before it

    @property
    def several(self) -> bool:
        """Tells whether GANs are trained side by side."""
        return len(self.members) > 1

    @functools.cached_property
    def abstract(self) -> GANState:
        """Shapes and dtypes of the state; nothing is computed."""
        return jax.eval_shape(lambda: self.gan.init(self.key))

    @functools.cached_property
    def abstract_one(self) -> GANState:
        """Shapes and dtypes of the state of one GAN."""
        return jax.eval_shape(lambda: self.one.init(jax.random.key(0))) if self.several else self.abstract

    @functools.cached_property
    def rows(self) -> int:
        """Real samples in the batch of a step: a part for each D update, and one for G's when its loss needs it."""
        return rows(self.recipe, self.loss)

    @functools.cached_property
    def latent(self) -> Callable[[Key, tuple[int, ...]], Latents]:
        """The distribution of z, `(key, shape) -> [*shape]`."""
        return latent_of(self.recipe)

    @property
    def latent_dim(self) -> int:
        """Length of z."""
        return int(self.recipe.generator.latent_dim)

    @property
    def density(self) -> Any:
        """The density that a mixture's samples are drawn from; None of other data."""
        return density_of(self.recipe)

    def images(self, step: int) -> int:
        """Returns the images shown to D before a step."""
        start, shown = self.counted_from
        return shown + (step - start) * self.recipe.disc_steps * self.recipe.batch_size

    def apart(self, state: GANState) -> list[GANState]:
        """Returns the state of each member, for process 0 to look at; parameters, statistics and memory, no moments."""
        if not self.several:
            return [state]
        # By way of the host: to index arrays that are sharded would make their devices talk to each other.
        g, d = (player._replace(opt=None) for player in (state.g, state.d))
        there = jax.device_get(state._replace(g=g, d=d))
        return [sweep.member(there, i) for i in range(len(self.members))]

    def weights_apart(self, weights: Weights) -> list[Weights]:
        """Returns the weights of each member."""
        if not self.several:
            return [weights]
        return [jax.tree.map(lambda x, i=i: x[i], weights) for i in range(len(self.members))]

    def member(self, i: int) -> "Experiment":
        """Returns the experiment of one member, as if it had been trained alone.

        Raises:
            FieldError: when there is no such member.
        """
        if not 0 <= i < len(self.members):
            raise FieldError("member", i, f"the run's members are 0 to {len(self.members) - 1}")
        if not self.several:
            return self
        own: dict[str, Any] = {"dataset": self.dataset, "shape": self.shape, "class_names": self.class_names}
        return build(self.members[i], **own, counted_from=self.counted_from)


def build(
    recipe: Recipe,
    *,
    dataset: Dataset | None = None,
    shape: Shape | None = None,
    class_names: tuple[str, ...] = (),
    counted_from: tuple[int, int] = (0, 0),
) -> Experiment:
    """Builds everything that a recipe describes: networks, objective, optimizers, and the GAN that they make.

    Args:
        recipe: a recipe that passed `recipes.check`.
        dataset: what it trains on; None to draw, plan or export only.
        shape: of the data, where there is no data set: from a run.
        class_names: likewise.
        counted_from: a step, and the images shown before it, of a run that went on with another batch size there.

    Returns:
        An `Experiment`; nothing is compiled.

    Raises:
        FieldError: when something does not fit: a network the data, an option a network, a result its place.
        UserCodeError: when code of the user's raises.
    """
    if dataset is not None:
        shape, class_names = shape_of(recipe, dataset), dataset.class_names if is_conditional(recipe, dataset) else ()
    assert shape is not None
    if recipe.pack > 1 and shape.classes:
        raise FieldError("pack", recipe.pack, f"a pack has no label of its own, and the data have {shape.classes} classes")
    if recipe.pack > 1 and shape.condition is not None:
        raise FieldError("pack", recipe.pack, "a pack has no condition of its own; set --data.no-conditional")
    loss = loss_of(recipe)
    if dataset is not None:
        check_holds(recipe, dataset)
        dataset = dataset if shape.condition is not None else data.without_condition(dataset)
    pair = networks_of(recipe, shape)
    check_pair(recipe, shape, loss, *pair)
    every = members(recipe)
    make = functools.partial(assemble, recipe=every[0], shape=shape, loss=loss, pair=pair, counted_from=counted_from)
    one = make()
    gammas = jnp.array([each.penalty.gamma for each in every]) if recipe.penalty.gammas else None
    keys = [jax.random.key(each.seed) for each in every]
    return Experiment(
        recipe=recipe,
        shape=shape,
        class_names=class_names,
        dataset=dataset,
        loss=loss,
        generator=pair[0],
        discriminator=pair[1],
        one=one,
        gan=one if len(every) == 1 else sweep.side_by_side(lambda gamma: one if gamma is None else make(gamma=gamma), gammas),
        members=tuple(every),
        key=keys[0] if len(keys) == 1 else jnp.stack(keys),
        counted_from=counted_from,
    )


def rows(recipe: Recipe, loss: Loss) -> int:
    """Returns the real samples in the batch of a step."""
    return recipe.batch_size * (recipe.disc_steps + loss.relativistic)


def parameters(state: GANState) -> tuple[int, int]:
    """Returns the numbers of parameters of G and D, of all members together."""
    g, d = (sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(player.params)) for player in (state.g, state.d))
    return g, d
