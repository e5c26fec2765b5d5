"""Checks of a whole recipe: what no run could use is refused in one line, before anything is compiled or written."""

import dataclasses
import inspect
from typing import Any

from jaxgan.core.term import Term
from jaxgan.recipes import code, fields
from jaxgan.recipes.recipe import COLUMNS, LOOKED_AT, PARTS, Recipe, figures, members, metric_name, stop_words, term_name
from jaxgan.recipes.table import LOSSES, METRICS, PENALTIES, TERMS, unknown
from jaxgan.system.messages import FieldError, kind_of, shown

_PARAMS = "__dataclass_params__"
_MOST_WEIGHT, _MOST_IMAGES = 1e9, 2**31 - 1  # of a term


def check(recipe: Recipe) -> Recipe:
    """Refuses a recipe with a value that no run could use; that data fit the networks is checked when these are built.

    Returns:
        The recipe, unchanged.

    Raises:
        FieldError: for the first such field.
    """
    if not isinstance(recipe, Recipe):
        raise FieldError("recipe", kind_of(recipe), "it must be a jaxgan.Recipe")
    check_parts(recipe)
    fields.check(recipe)
    _check_names(recipe)
    _check_together(recipe)
    return recipe


def check_parts(recipe: Recipe) -> None:
    """Refuses a recipe whose data, networks or optimizers are not frozen dataclasses with `build`.

    Raises:
        FieldError: for the first such part.
    """
    for name in PARTS:
        _check_part(name, getattr(recipe, name))


def _check_part(name: str, value: Any) -> None:
    if name == "data" and callable(value) and not isinstance(value, type):
        return
    if name.endswith("optimizer") and hasattr(value, "init") and hasattr(value, "update"):
        return  # an optax.GradientTransformation
    if name == "data" and hasattr(value, "__array__"):
        told = "a recipe records its data by name: give a function that returns them, or in Python jaxgan.train(.., dataset=)"
        raise FieldError(name, kind_of(value), told)
    if (library := _of_networks(value)) is not None:
        told = f"a recipe takes a part that makes it: a frozen dataclass whose build(self, shape) returns jaxgan.{library}(..)"
        raise FieldError(name, kind_of(value), told)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        other = "an optax.GradientTransformation, " if name.endswith("optimizer") else ""
        raise FieldError(name, kind_of(value), f"it must be a frozen dataclass with a method build, {other}or a name")
    if not getattr(type(value), _PARAMS).frozen:
        raise FieldError(name, kind_of(value), "it must be frozen: @dataclasses.dataclass(frozen=True)")
    if not callable(getattr(value, "build", None)):
        raise FieldError(name, kind_of(value), "it has no method build")
    _check_annotated(name, type(value))
    if name == "generator":
        length = getattr(value, "latent_dim", None)
        if not isinstance(length, int):
            raise FieldError(name, kind_of(value), "it has no field latent_dim, the length of z")
        if length < 1:
            raise FieldError("generator.latent_dim", length, "it must be at least 1")


def _of_networks(value: Any) -> str | None:
    """Returns the function that takes a value's kind of module; None of what is no module."""
    libraries = {"flax.linen": "from_linen", "flax.nnx": "from_nnx", "equinox": "from_equinox"}
    kinds = (value if isinstance(value, type) else type(value)).__mro__
    if any(callable(vars(kind).get("build")) for kind in kinds):
        return None
    homes = (each for kind in kinds for each in libraries if f"{kind.__module__}.".startswith(f"{each}."))
    return next((libraries[home] for home in homes), None)


def _check_annotated(name: str, kind: type) -> None:
    """Refuses plain attributes of a part's class that its author took for fields: without a type they are none."""
    annotated = {each for base in kind.__mro__ for each in inspect.get_annotations(base)}
    for base in kind.__mro__:
        for attribute, value in vars(base).items() if dataclasses.is_dataclass(base) else ():
            if type(value) in (bool, int, float, str) and not attribute.startswith("_") and attribute not in annotated:
                written = f"{attribute}: {type(value).__name__} = {value!r}"
                told = f"without a type it is no field of {base.__name__}; write {written}, or ClassVar for a constant"
                raise FieldError(f"{name}.{attribute}", shown(value), told)


def _check_names(recipe: Recipe) -> None:
    for field, value, names in (("loss", recipe.loss, LOSSES), ("penalty.name", recipe.penalty.name, PENALTIES)):
        if isinstance(value, str) and value not in names and not code.is_reference(value):
            raise unknown(field, value, names)
    if not isinstance(recipe.loss, str) and not (hasattr(recipe.loss, "d") and hasattr(recipe.loss, "g")):
        raise FieldError("loss", shown(recipe.loss), "it must be a name or a jaxgan.Loss(d=.., g=..)")
    if not isinstance(recipe.penalty.name, str) and not callable(recipe.penalty.name):
        raise FieldError(
            "penalty.name", kind_of(recipe.penalty.name), "it must be a name or a function (critic, real, fake, key)"
        )
    if not isinstance(recipe.augment, str) and not callable(recipe.augment):
        raise FieldError("augment", kind_of(recipe.augment), "it must be a name or a function (key, images, strength)")
    if not isinstance(recipe.eval_features, str) and not callable(recipe.eval_features):
        raise FieldError("eval_features", kind_of(recipe.eval_features), "it must be a name or a function of samples")
    for metric in recipe.eval_metrics:
        _check_metric(metric)
    _check_terms(recipe)
    known = {"none": None} | dict.fromkeys(LOOKED_AT) | figures(recipe)
    if recipe.keep_best not in known:
        raise unknown("keep_best", recipe.keep_best, known)
    stop_words(recipe)


def _check_terms(recipe: Recipe) -> None:
    taken = {*COLUMNS, *METRICS, *figures(recipe)}
    names: set[str] = set()
    for term in recipe.terms:
        function = getattr(term, "function", None) if isinstance(term, Term) else term
        if isinstance(function, str):
            if function not in TERMS and not code.is_reference(function):
                raise unknown("terms", function, TERMS)
        elif isinstance(function, type) or not (callable(function) or callable(getattr(function, "build", None))):
            allowed = "it must be a jaxgan.Term, a name, or a function (fake, batch, key)"
            raise FieldError("terms", kind_of(function), allowed)
        name = term_name(term)
        if name in names:
            raise FieldError("terms", shown(name), "a term of that name is there already; give one of them name='..'")
        names |= {name, f"{name}_weight"}
        if {name, f"{name}_weight"} & taken:
            raise FieldError("terms", shown(name), "a row of metrics has a figure of that name; give the term name='..'")
        if isinstance(term, Term):
            _check_term(term, name)


def _check_term(term: Term, name: str) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise FieldError("terms", shown(name), "a term needs a name of letters, digits and _: Term(.., name='..')")
    weight, number = term.weight, isinstance(term.weight, (int, float)) and not isinstance(term.weight, bool)
    if not callable(weight) and not (number and 0 <= weight <= _MOST_WEIGHT):
        told = f"it must be from 0 to {_MOST_WEIGHT:,}, or a schedule in images shown"
        raise FieldError(f"terms.{name}.weight", shown(weight), told)
    if type(term.starts) is not int or not 0 <= term.starts <= _MOST_IMAGES:
        raise FieldError(f"terms.{name}.starts", shown(term.starts), f"it must be an integer from 0 to {_MOST_IMAGES:,}")
    for field, kind in (("balanced", bool), ("layer", str), ("name", str)):
        if type(getattr(term, field)) is not kind:
            raise FieldError(f"terms.{name}.{field}", shown(getattr(term, field)), f"it must be of type {kind.__name__}")


def _check_metric(metric: Any) -> None:
    if isinstance(metric, str):
        if metric not in METRICS and not code.is_reference(metric):
            raise unknown("eval_metrics", metric, METRICS)
        return
    if not (dataclasses.is_dataclass(metric) and callable(getattr(metric, "function", None))):
        raise FieldError("eval_metrics", kind_of(metric), "it must be a name or a jaxgan.Metric(function, better=..)")
    taken = {*COLUMNS, *METRICS, *(figure for row in METRICS.values() for figure in row.figures)}
    for name in (metric_name(metric), *getattr(metric, "figures", ())):
        if name in taken:
            raise FieldError("eval_metrics", shown(name), "the library has a figure of that name; give yours name='..'")


def _check_together(recipe: Recipe) -> None:
    """Fields that are right one by one may not fit each other."""
    if recipe.seed + recipe.seeds > 2**32:
        raise FieldError("seeds", f"{recipe.seeds} from seed {recipe.seed} on", f"a seed is at most {2**32 - 1:,}")
    several = len(members(recipe)) > 1
    if recipe.shard != "none" and several:
        raise FieldError("shard", recipe.shard, "of GANs side by side each device has its own; it must be none")
    _check_batch(recipe)
    gammas, name = recipe.penalty.gammas, recipe.penalty.name
    given = " ".join(map(str, gammas))
    if gammas and name == "none":
        raise FieldError("penalty.gammas", given, "name none takes no weight")
    if gammas and recipe.penalty.final_gamma is not None:
        raise FieldError("penalty.gammas", given, "final_gamma is for one weight that changes")
    if len(set(gammas)) < len(gammas):
        raise FieldError("penalty.gammas", given, "each weight may stand there once")
    if recipe.init_from and several:
        raise FieldError("init_from", recipe.init_from, "GANs side by side begin with weights of their own")


def _check_batch(recipe: Recipe) -> None:
    pack, accumulate, size = recipe.pack, recipe.accumulate, recipe.batch_size
    if size % pack:
        raise FieldError("pack", pack, f"it must divide the batch size, {size}")
    images, left = divmod(size, accumulate)
    if left:
        raise FieldError("accumulate", accumulate, f"it must divide the batch size, {size}")
    together = getattr(recipe.discriminator, "judged_together", None)
    name, group = together() if together is not None else ("", 0)
    # A group of packs is at most the microbatch.
    for path, value, several in (("pack", pack, pack), (f"discriminator.{name}", group, min(group * pack, images))):
        if accumulate > 1 and several and images % several:
            raise FieldError("accumulate", accumulate, f"{path}, {value}, does not divide the {images} images of a microbatch")
    if pack > 1 and getattr(recipe.data, "conditional", False):
        raise FieldError("pack", pack, "a pack has no label of its own; set --data.no-conditional")


def divides(recipe: Recipe, devices: int) -> bool:
    """Returns whether each microbatch divides evenly over so many devices; GANs side by side need not."""
    return len(members(recipe)) > 1 or recipe.batch_size // recipe.accumulate % devices == 0


def check_divides(recipe: Recipe, devices: int) -> None:
    """Refuses a checked recipe whose batch, or microbatch, so many devices cannot share.

    Raises:
        FieldError: with the field, its value and what is allowed.
    """
    if divides(recipe, devices):
        return
    if recipe.batch_size % devices:
        raise FieldError("batch_size", recipe.batch_size, f"it must be a multiple of the {devices} devices")
    images = recipe.batch_size // recipe.accumulate
    allowed = f"a microbatch, {images} images, must be a multiple of the {devices} devices"
    raise FieldError("accumulate", recipe.accumulate, allowed)
