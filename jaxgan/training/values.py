"""Values that a recipe names, the library's by name, the user's by reference: loss, penalty, terms, latents, metrics."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jaxgan.core.types import Key, Latents, Loss, Penalty, Term
from jaxgan.evaluation.metric import Metric
from jaxgan.recipes import Recipe, code
from jaxgan.recipes.recipe import metric_name, term_name
from jaxgan.recipes.table import LATENTS, LOSSES, PENALTIES, TERMS, find
from jaxgan.system.messages import FieldError, kind_of


def value_of(field: str, value: Any, names: dict[str, str]) -> Any:
    """Returns the value of a recipe's field: ours by its name, the user's by its reference, or the value itself."""
    if not isinstance(value, str):
        return value
    return code.named(value, field) if code.is_reference(value) and value not in names else find(names, field, value)


def loss_of(recipe: Recipe) -> Loss:
    """Returns the loss that a recipe names.

    Raises:
        FieldError: when it is none.
    """
    loss = value_of("loss", recipe.loss, LOSSES)
    if not isinstance(loss, Loss):
        raise FieldError("loss", kind_of(loss), "it must be a jaxgan.Loss(d=.., g=..)")
    return loss


def penalty_of(recipe: Recipe) -> Penalty | None:
    """Returns the penalty that a recipe names; None where it names none."""
    if recipe.penalty.name == "none":
        return None
    found: Penalty = value_of("penalty.name", recipe.penalty.name, PENALTIES)
    return found


def terms_of(recipe: Recipe) -> tuple[Term, ...]:
    """Returns the further terms of G's loss, each with its function; a name or function stands for a term of weight 1."""
    found = []
    for asked in recipe.terms:
        term = value_of("terms", asked, TERMS)
        if not isinstance(term, Term) and hasattr(term, "build"):
            term = called(f"terms: {type(term).__name__}.build", term.build)
            if not isinstance(term, Term):
                raise FieldError("terms", f"{kind_of(term)} from {type(asked).__name__}.build", "it must be a jaxgan.Term")
        if not isinstance(term, Term):
            term = Term(term, name=term_name(asked))
        found.append(replace(term, function=value_of("terms", term.function, TERMS), name=term.label))
    return tuple(found)


def latent_of(recipe: Recipe) -> Callable[[Key, tuple[int, ...]], Latents]:
    """Returns the distribution of z: a method of the generator's part, or one of the library's by name, normal by default."""
    own = getattr(recipe.generator, "latent", "normal")
    found: Callable[[Key, tuple[int, ...]], Latents] = find(LATENTS, "generator.latent", own) if isinstance(own, str) else own
    return found


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


def called(field: str, act: Callable[[], Any]) -> Any:
    """Returns the result of a function of the user's.

    Raises:
        UserCodeError: naming the field, when the function raises anything but a FieldError.
    """
    try:
        return act()
    except FieldError:
        raise
    except Exception as error:
        raise code.UserCodeError(field, error) from error


def is_ours(kind: type) -> bool:
    """Returns True if a part is one of the library's own, by its class."""
    return kind.__module__.partition(".")[0] == "jaxgan"
