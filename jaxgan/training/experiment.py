"""An experiment: a recipe built once, and passed on to all that trains, draws, measures and plans."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from jaxgan import data
from jaxgan.core import ada, conditions, fits, penalties, schedules, sweep, weighing
from jaxgan.core.augment import diff_augment
from jaxgan.core.gan import make_gan
from jaxgan.core.terms import l1, l2
from jaxgan.core.types import (
    GAN,
    Adaptive,
    Augment,
    Dataset,
    GANState,
    Key,
    Latents,
    Loss,
    Network,
    Penalty,
    Schedule,
    Term,
    Weights,
)
from jaxgan.evaluation.metric import Metric
from jaxgan.nets.nested import words
from jaxgan.nets.transforms import at_precision, rematerialised, stages
from jaxgan.nets.transforms import pack as packed
from jaxgan.recipes import Data, Recipe, Schedules, code, members
from jaxgan.recipes.recipe import metric_name, term_name
from jaxgan.recipes.table import LATENTS, LOSSES, MIXTURES, PENALTIES, TERMS, find
from jaxgan.system import devices
from jaxgan.system.messages import FieldError, kind_of_samples


class Shape(NamedTuple):
    """Facts about the data that a network must know."""

    sample: tuple[int, ...]  # of one sample: (H, W, C), or (2,) for points in the plane
    classes: int  # 0 when the recipe is unconditional, or has a condition
    condition: Any = None  # jax.ShapeDtypeStruct of one sample's condition, or dicts of such; None of classes or nothing


@dataclass(frozen=True, eq=False)
class Experiment:
    """A recipe built once. Whether it trains one GAN or several side by side is known here alone."""

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
        _check_holds(recipe, dataset)
        dataset = dataset if shape.condition is not None else data.without_condition(dataset)
    pair = _networks(recipe, shape)
    _check_pair(recipe, shape, loss, *pair)
    every = members(recipe)
    make = functools.partial(_gan, recipe=every[0], shape=shape, loss=loss, pair=pair, counted_from=counted_from)
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


def density_of(recipe: Recipe) -> Any:
    """Returns the density that a recipe's samples are drawn from, where they are of a mixture; else None."""
    name = getattr(recipe.data, "name", "")
    return find(MIXTURES, "data.name", name)() if isinstance(recipe.data, Data) and name in MIXTURES else None


def open_data(recipe: Recipe) -> Dataset:
    """Returns the data set of a recipe, read from disk, drawn, or made by the user's function; nothing is trained.

    Raises:
        FieldError: when it does not fit the recipe.
        FileNotFoundError: when it is not there, with the command that prepares it.
        UserCodeError: when the user's function raises.
    """
    source = recipe.data
    if isinstance(source, Data):
        try:
            found: Dataset = source.build()
        except FieldError as error:
            raise error.within("data") from error
        return found
    name = getattr(source, "__name__", type(source).__name__)
    try:
        made = source() if callable(source) else source.build()
    except (FieldError, FileNotFoundError):
        raise
    except Exception as error:
        raise code.UserCodeError(f"data: {name}", error) from error
    return data.as_dataset(made, name=name)


def given(recipe: Recipe, dataset: Any) -> tuple[Recipe, Dataset]:
    """Returns the recipe and the data set where the data are given in Python rather than by the recipe.

    Args:
        recipe: its `data` are put aside.
        dataset: a `Dataset`, or what `data.as_dataset` takes.

    Raises:
        FieldError: when it is nothing of the kind.
    """
    found = data.as_dataset(dataset, name="given")
    return replace(recipe, data=Data("given", conditional=bool(found.class_names) or found.condition is not None)), found


def is_conditional(recipe: Recipe, dataset: Dataset) -> bool:
    """Returns whether the networks are given labels: of a user's own data wherever there are any, and no condition."""
    return bool(getattr(recipe.data, "conditional", True) and dataset.class_names and dataset.condition is None)


def shape_of(recipe: Recipe, dataset: Dataset) -> Shape:
    """Returns what the networks of this recipe must know of its data set."""
    condition = dataset.condition if getattr(recipe.data, "conditional", True) else None
    return Shape(tuple(dataset.shape), len(dataset.class_names) if is_conditional(recipe, dataset) else 0, condition)


def given_of(shape: Shape, *lead: Any) -> Any:
    """Returns shapes and dtypes of what networks are given besides z or samples: labels or conditions `[*lead, ...]`."""
    return conditions.batched(jax.ShapeDtypeStruct((), jnp.int32) if shape.condition is None else shape.condition, *lead)


def rows(recipe: Recipe, loss: Loss) -> int:
    """Returns the real samples in the batch of a step."""
    return recipe.batch_size * (recipe.disc_steps + loss.relativistic)


def parameters(state: GANState) -> tuple[int, int]:
    """Returns the numbers of parameters of G and D, of all members together."""
    g, d = (sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(player.params)) for player in (state.g, state.d))
    return g, d


def _check_holds(recipe: Recipe, dataset: Dataset) -> None:
    """Refuses batches larger than the data; of one step that takes several, two may hold the same sample."""
    if dataset.size is not None and recipe.batch_size > dataset.size:
        kind = "images" if len(dataset.shape) == 3 else "samples"
        allowed = f"{dataset.name}/{dataset.split} holds {dataset.size} {kind}, so it must be at most {dataset.size}"
        raise FieldError("batch_size", recipe.batch_size, allowed)


def metrics_of(asked: Sequence[str | Metric]) -> list[str | Metric]:
    """Returns metrics, those of the user's under the names by which they stand in their file, references resolved."""
    return [_metric(each) for each in asked]


def _metric(asked: str | Metric) -> str | Metric:
    if isinstance(asked, str) and not code.is_reference(asked):
        return asked
    name = metric_name(asked)
    found = code.named(asked, "eval_metrics") if isinstance(asked, str) else asked
    if not isinstance(found, Metric):
        raise FieldError("eval_metrics", asked, "it must be a jaxgan.Metric")
    return found.named(name)


def features_of(recipe: Recipe) -> Any:
    """Returns the features that a recipe's metrics compare, a reference resolved; None for those that suit the data."""
    asked: Any = recipe.eval_features or None
    return code.named(asked, "eval_features") if code.is_reference(asked) else asked


def own_metrics(recipe: Recipe) -> list[Metric]:
    """Returns the metrics of a recipe that are the user's own, each with its name."""
    return [each for each in metrics_of(recipe.eval_metrics) if not isinstance(each, str)]


def latent_of(recipe: Recipe) -> Callable[[Key, tuple[int, ...]], Latents]:
    """Returns the distribution of z: a method of the generator's part, or one of ours by name, normal by default."""
    own = getattr(recipe.generator, "latent", "normal")
    found: Callable[[Key, tuple[int, ...]], Latents] = find(LATENTS, "generator.latent", own) if isinstance(own, str) else own
    return found


def _packed(recipe: Recipe, shape: Shape) -> Shape:
    return shape._replace(sample=(*shape.sample[:-1], shape.sample[-1] * recipe.pack))


def _value(field: str, value: Any, names: dict[str, str]) -> Any:
    """Returns what a field of the recipe means: a name of ours, a reference of the user's, or the value itself."""
    if not isinstance(value, str):
        return value
    return code.named(value, field) if code.is_reference(value) and value not in names else find(names, field, value)


def loss_of(recipe: Recipe) -> Loss:
    """Returns the loss that a recipe names.

    Raises:
        FieldError: when it is none.
    """
    loss = _value("loss", recipe.loss, LOSSES)
    if not isinstance(loss, Loss):
        raise FieldError("loss", f"a {type(loss).__name__}", "it must be a jaxgan.Loss(d=.., g=..)")
    return loss


def _penalty(recipe: Recipe) -> Penalty | None:
    if recipe.penalty.name == "none":
        return None
    found: Penalty = _value("penalty.name", recipe.penalty.name, PENALTIES)
    return found


def _terms(recipe: Recipe) -> tuple[Term, ...]:
    """Returns the further terms of G's loss, each with its function; a name or function stands for a term of weight 1."""
    found = []
    for asked in recipe.terms:
        term = _value("terms", asked, TERMS)
        if not isinstance(term, Term) and hasattr(term, "build"):
            term = _user(f"terms: {type(term).__name__}.build", term.build)
            if not isinstance(term, Term):
                raise FieldError(
                    "terms", f"a {type(term).__name__} from {type(asked).__name__}.build", "it must be a jaxgan.Term"
                )
        if not isinstance(term, Term):
            term = Term(term, name=term_name(asked))
        found.append(replace(term, function=_value("terms", term.function, TERMS), name=term.label))
    return tuple(found)


def _networks(recipe: Recipe, shape: Shape) -> tuple[Network, Network]:
    """Returns G and D.

    Raises:
        FieldError: when one or both cannot be built; of both in one message.
    """
    built, errors = [], []
    for player, seen in (("generator", shape), ("discriminator", _packed(recipe, shape))):
        try:
            built.append(network(player, recipe, seen))
        except FieldError as error:
            errors.append(error)
    if errors:
        first, *others = errors
        also = "".join(f"; {error}" for error in others if str(error) != str(first))
        raise FieldError(first.field, first.value, f"{first.allowed}{also}", link=first.link) from first
    return built[0], packed(built[1], recipe.pack)


def network(player: str, recipe: Recipe, shape: Shape) -> Network:
    """Returns the network of one player, with the precision and the remat that the recipe asks for.

    Raises:
        FieldError: when it does not fit the data, or is none.
        UserCodeError: when code of the user's raises.
    """
    part = getattr(recipe, player)
    if shape.condition is not None and _is_ours(type(part)) and not getattr(part, "takes_condition", False):
        told = "it takes classes alone, and the data have a condition; give a network of your own, or --data.no-conditional"
        raise FieldError(player, type(part).__name__, told)
    wanted: dict[str, Any] = {"precision": recipe.precision, "remat": recipe.remat}
    try:
        takes = inspect.signature(part.build).parameters
        built = part.build(shape, **{name: value for name, value in wanted.items() if name in takes})
    except FieldError as error:
        raise _of_recipe(error, player, recipe) from error
    except Exception as error:
        if _is_ours(type(part)):
            raise
        raise code.UserCodeError(f"{player}: {type(part).__name__}.build", error) from error
    if not isinstance(built, Network):
        made = f"a {type(built).__name__} from {type(part).__name__}.build"
        raise FieldError(player, made, "it must be a jaxgan.Network, as jaxgan.from_linen makes one")
    if "precision" not in takes:
        built = at_precision(built, jnp.dtype(recipe.precision))
    return rematerialised(built) if recipe.remat and "remat" not in takes else built


def _of_recipe(error: FieldError, player: str, recipe: Recipe) -> FieldError:
    """Returns the error of a network with its fields named as the recipe has them."""
    named = error.field.split(", ")
    if named == ["image_size"]:
        return error.renamed("data.image_size" if isinstance(recipe.data, Data) else "data")
    own = set(named) <= {"type", *vars(getattr(recipe, player))}
    return error.renamed(", ".join(f"{player}.{name}" for name in named)) if own else error


def _check_pair(recipe: Recipe, shape: Shape, loss: Loss, g: Network, d: Network) -> None:
    """Refuses parts and values of the user's whose results have the wrong shapes, by their shapes alone."""
    _check_latent(recipe)
    own = [player for player in ("generator", "discriminator") if not _is_ours(type(getattr(recipe, player)))]
    count = recipe.batch_size // recipe.accumulate  # as a step traces them: what suits another number only is refused here
    judgements = (count // recipe.pack,)
    sample = jax.ShapeDtypeStruct((count, *shape.sample), jnp.float32)
    labels = given_of(shape, count)
    if not isinstance(recipe.augment, str):
        _check_augment(recipe.augment, sample)
    z = jax.eval_shape(lambda: latent_of(recipe)(jax.random.key(0), (count, recipe.generator.latent_dim)))
    if "generator" in own:
        made = _made("generator", _traced("generator", recipe.generator, g, z, labels))
        if made != sample.shape:
            raise FieldError(
                "generator", f"it makes samples {_shape(made[1:])}", f"those of the data are {_shape(shape.sample)}"
            )
    if "discriminator" in own:
        judged = _traced("discriminator", recipe.discriminator, d, sample, labels)
        scales = [_made("discriminator", each) for each in (judged if isinstance(judged, (tuple, list)) else (judged,))]
        if not scales or any(made[:1] != judgements for made in scales):
            got = f"it maps {_shape(sample.shape)} to {' and '.join(map(_shape, scales)) or 'nothing'}"
            one, many = _shape(judgements), f"({judgements[0]}, ..)"
            allowed = f"it must return one logit for each sample, {one}, those of its patches, {many}, or a tuple of such"
            raise FieldError("discriminator", got, allowed)
        fits.check_logits(judged, cast(jax.Array, sample))  # only shapes and dtypes are used
    logits = jax.ShapeDtypeStruct(judgements, jnp.float32)
    for player in ("d", "g") if not isinstance(recipe.loss, str) else ():
        value = _user("loss", functools.partial(jax.eval_shape, getattr(loss, player), logits, logits))
        if not _is_real(value, judgements):
            got = f"it maps logits {_shape(judgements)} to {_told(value)}"
            raise FieldError(f"loss.{player}", got, "it must return one real number each")
    if not isinstance(recipe.penalty.name, str):
        _check_penalty(recipe, sample)
    for term in _terms(recipe):
        _check_term(term, g, d, sample, {"label" if shape.condition is None else "condition": labels})


def _check_term(term: Term, g: Network, d: Network, sample: jax.ShapeDtypeStruct, given: dict[str, Any]) -> None:
    """Refuses a term whose values are not one for each sample, or that is balanced at a layer which G has not."""

    def use(images: jax.Array, given: dict[str, Any]) -> Any:
        batch = {"image": images} | given
        if d.features is not None:
            params, stats = d.init(jax.random.key(0))
            (labels,) = given.values()
            of = d.features(params, stats, images, labels, jax.random.key(1), train=True)
            batch |= {"real_features": of, "fake_features": of}
        return term.function(images, batch, jax.random.key(0))

    if term.function in (l1, l2) and "condition" not in given:
        told = "the data have no condition, so it would draw each sample to a real one that has nothing to do with it"
        raise FieldError("terms", repr(term.label), told)
    values = _user(f"terms.{term.label}", lambda: jax.eval_shape(use, sample, given))
    fits.check_term(term.label, values, sample)
    if term.balanced:
        weighing.last_layer(g, jax.eval_shape(g.init, jax.random.key(0))[0], term)


def _check_penalty(recipe: Recipe, sample: jax.ShapeDtypeStruct) -> None:
    def critic(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0] // recipe.pack, -1).sum(axis=1)

    def use(real: jax.Array, fake: jax.Array) -> Any:
        return recipe.penalty.name(critic, real, fake, jax.random.key(0))

    value = _user("penalty", lambda: jax.eval_shape(use, sample, sample))
    judgements = (sample.shape[0] // recipe.pack,)
    if not _is_real(value, judgements):
        got = f"it returns {_told(value)} for {sample.shape[0]} samples"
        raise FieldError("penalty.name", got, f"it must return one real number for each logit, {_shape(judgements)}")


def _check_latent(recipe: Recipe) -> None:
    latent, length = latent_of(recipe), recipe.generator.latent_dim
    if isinstance(getattr(recipe.generator, "latent", "normal"), str):
        return
    for shape in ((4, length), (length,)):
        draw = functools.partial(_drawn, latent, shape)
        z = _user("generator.latent", functools.partial(jax.eval_shape, draw))
        if getattr(z, "shape", None) != shape:
            raise FieldError("generator.latent", f"it returns {_told(z)} for the shape {_shape(shape)}", "it must be of that")


def _drawn(latent: Callable[[Key, tuple[int, ...]], Any], shape: tuple[int, ...]) -> Any:
    return latent(jax.random.key(0), shape)


def _check_augment(augment: Augment, sample: jax.ShapeDtypeStruct) -> None:
    def use(images: jax.Array) -> Any:
        return augment(jax.random.key(0), images, jnp.zeros(()))

    value = _user("augment", lambda: jax.eval_shape(use, sample))
    if not _is_real(value, sample.shape):
        raise FieldError("augment", f"it maps {_shape(sample.shape)} to {_told(value)}", "it must return images of that shape")


def _is_real(value: Any, shape: tuple[int, ...]) -> bool:
    return getattr(value, "shape", None) == shape and jnp.issubdtype(value.dtype, jnp.floating)


def _told(value: Any) -> str:
    """Returns a result of the user's as a message names it: its shape, its type where that is what is wrong."""
    if not hasattr(value, "shape"):
        return f"a {type(value).__name__}"
    real = jnp.issubdtype(value.dtype, jnp.floating)
    return _shape(value.shape) if real else f"{value.dtype} {_shape(value.shape)}"


def _traced(player: str, part: Any, network: Network, x: Any, labels: Any) -> Any:
    def run(x: jax.Array, labels: jax.Array) -> Any:
        params, stats = network.init(jax.random.key(0))
        y, after = network.apply(params, stats, x, labels, jax.random.key(1), train=True)
        return params, stats, y, after

    params, stats, made, after = _user(f"{player}: {type(part).__name__}", lambda: jax.eval_shape(run, x, labels))
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            name = "/".join(words(path))
            raise FieldError(player, f"parameter {name} is {leaf.dtype}", "gradients need real numbers; others belong to stats")
    if jax.tree.map(_form, stats) != jax.tree.map(_form, after):
        before, now = (_forms(tree) for tree in (stats, after))
        raise FieldError(player, f"its stats go from {before} to {now}", "they must keep their names, shapes and dtypes")
    return made


def _made(player: str, made: Any) -> tuple[int, ...]:
    if not hasattr(made, "shape"):
        raise FieldError(player, f"it returns a {type(made).__name__}", "apply must return (array, stats)")
    return tuple(made.shape)


def _form(leaf: Any) -> tuple[tuple[int, ...], str]:
    return tuple(leaf.shape), str(leaf.dtype)


def _forms(tree: Any) -> str:
    found = [f"{'/'.join(words(path))} {leaf.dtype}{list(leaf.shape)}" for path, leaf in jax.tree.leaves_with_path(tree)]
    return ", ".join(found[:4] + (["..."] if len(found) > 4 else [])) or "none"


def _user(field: str, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except FieldError:
        raise
    except Exception as error:
        raise code.UserCodeError(field, error) from error


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "jaxgan"


def _gan(
    *,
    recipe: Recipe,
    shape: Shape,
    loss: Loss,
    pair: tuple[Network, Network],
    counted_from: tuple[int, int],
    gamma: jax.Array | None = None,
) -> GAN:
    fields, (generator, discriminator) = recipe.penalty, pair
    # A weight of zero throughout is no penalty, and must not cost one.
    weighed = gamma is not None or fields.gamma or fields.final_gamma
    penalty = _penalty(recipe) if weighed else None
    weight: Any = gamma if gamma is not None else _towards(fields.gamma, fields.final_gamma, recipe)
    path = penalties.path_length(generator, weight=fields.path_length) if fields.path_length else None
    d_optimizer = _optimizer("d_optimizer", recipe, 1 if penalty is None else fields.interval)
    return make_gan(
        generator=generator,
        discriminator=discriminator,
        loss=loss,
        penalty=penalty,
        gamma=None if penalty is None else weight,
        penalty_interval=fields.interval,
        g_penalty=path,
        g_penalty_interval=fields.path_interval,
        g_optimizer=_optimizer("g_optimizer", recipe, 1 if path is None else fields.path_interval),
        d_optimizer=_frozen(d_optimizer, discriminator, recipe.freeze_d) if recipe.freeze_d else d_optimizer,
        latent_dim=recipe.generator.latent_dim,
        latent=latent_of(recipe),
        disc_steps=recipe.disc_steps,
        share_z=recipe.share_z,
        accumulate=recipe.accumulate,
        augment=_augment(recipe, shape),
        augment_strength=_strength(recipe),
        ema_half_life=_half_life(recipe),
        counted_from=counted_from,
        terms=_terms(recipe),
    )


def _optimizer(player: str, recipe: Recipe, interval: int) -> optax.GradientTransformation:
    part = getattr(recipe, player)
    share = interval / (interval + 1) if interval > 1 else 1.0
    if isinstance(part, optax.GradientTransformation):
        optimizer: Any = part
    else:
        arguments = (Schedules(recipe.decay_images, share),) if inspect.signature(part.build).parameters else ()
        optimizer = _user(f"{player}: {type(part).__name__}.build", lambda: part.build(*arguments))
    if not isinstance(optimizer, optax.GradientTransformation):
        made = f"a {type(optimizer).__name__} from {type(part).__name__}.build"
        raise FieldError(player, made, "it must be an optax.GradientTransformation")
    return optimizer if recipe.shard == "none" else _gathered(optimizer)


def _gathered(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Returns an optimizer whose state is sharded and whose updates are replicated, so that parameters stay whole in a step.

    XLA would leave them sharded, and between the updates of one step shard the networks too, and send activations.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def update(grads: optax.Updates, *rest: Any, **options: Any) -> tuple[optax.Updates, optax.OptState]:
        updates, state = optimizer.update(devices.everywhere(grads), *rest, **options)
        return devices.everywhere(updates), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def _frozen(optimizer: optax.GradientTransformation, network: Network, count: int) -> optax.GradientTransformation:
    """Returns an optimizer that leaves the first stages of a network as they are (Mo et al. 2020, Freeze the discriminator)."""
    names = stages(network)
    if count >= len(names):
        raise FieldError("freeze_d", count, f"D has {len(names)} stages ({', '.join(names)}), and one must be left to train")
    kept = names[:count]

    def labels(params: Any) -> Any:
        return {name: jax.tree.map(lambda _, name=name: "kept" if name in kept else "trained", params[name]) for name in params}

    return optax.multi_transform({"trained": optimizer, "kept": optax.set_to_zero()}, labels)


def _augment(recipe: Recipe, shape: Shape) -> Augment | None:
    if not isinstance(recipe.augment, str) or code.is_reference(recipe.augment):
        found: Augment = _value("augment", recipe.augment, {})
        return found
    if not recipe.augment:
        return None
    if len(shape.sample) != 3:
        told = f"the data are {kind_of_samples(shape.sample)}; it is for images"
        raise FieldError("augment", repr(recipe.augment), told)
    kind, _, pipe = recipe.augment.partition(":")
    try:
        return ada.ada(pipe) if kind == "ada" else diff_augment(recipe.augment)
    except FieldError as error:
        raise error.renamed("augment") from error


def _strength(recipe: Recipe) -> float | Schedule | Adaptive:
    if recipe.augment_target is not None:
        return ada.adaptive(recipe.augment_target, recipe.augment_images)
    return _towards(recipe.augment_strength, recipe.final_augment_strength, recipe)


def _half_life(recipe: Recipe) -> Schedule:
    if recipe.initial_ema_half_life is None:
        return schedules.ramp(recipe.ema_half_life, recipe.ema_rampup)
    return schedules.cosine(recipe.initial_ema_half_life, recipe.ema_half_life, recipe.decay_images)


def _towards(start: float, end: float | None, recipe: Recipe) -> float | Schedule:
    return start if end is None else schedules.cosine(start, end, recipe.decay_images)
