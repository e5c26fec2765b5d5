"""Conditions of samples: a vector, an image, a mask, several of them in a dict; arrays with one entry for each sample.

Data sets, files and samplers have them in one form: an array `[N, ...]`, or dicts of such, by names without `/`. A GAN made by
hand takes any pytree.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxgan.system.messages import FieldError, kind_of

Arrays = Any  # an array [N, ...], or dicts of such
Form = Any  # of one sample: jax.ShapeDtypeStruct in the arrays' places
ALONE = "condition"  # name of a condition that is one array
_DTYPES = ("float32", "int32", "uint8", "bool")
_MOST = 2**27  # numbers in one sample's condition


def as_arrays(condition: Any, count: int | None = None, field: str = ALONE) -> Arrays:
    """Returns a condition as arrays: floats as float32, integers as int32, bytes and truth values as they are.

    Args:
        condition: an array `[N, ...]` or dicts of such.
        count: N, where it is known.
        field: path of it, for messages.

    Raises:
        FieldError: when it is of another structure or number, or a value is not finite.
    """
    if isinstance(condition, Mapping):
        for name in condition:
            if not isinstance(name, str) or not name or "/" in name:
                raise FieldError(field, f"the key {name!r}", "keys must be texts without /")
        if not condition:
            raise FieldError(field, "an empty dict", "it must hold arrays")
        found = {name: as_arrays(each, count, f"{field}/{name}") for name, each in condition.items()}
        counts = {count_of(each) for each in found.values()}
        if len(counts) > 1:
            told = ", ".join(f"{name} for {count_of(each)}" for name, each in found.items())
            raise FieldError(field, told, "they must be for one number of samples")
        return found
    if isinstance(condition, np.ma.MaskedArray):
        raise FieldError(field, "a masked array", "fill it: a network sees every value")
    try:
        array = np.asarray(condition)
    except (ValueError, TypeError) as error:  # ragged lists, keys of random numbers
        raise FieldError(field, kind_of(condition), "it must be an array [N, ...], or a dict of such") from error
    if array.dtype.kind not in "fiub" or array.ndim < 1 or not len(array):
        given = f"an array of shape {list(array.shape)} and dtype {array.dtype}"
        raise FieldError(field, given, "it must be numbers [N, ...], or a dict of such")
    if count is not None and len(array) != count:
        raise FieldError(field, f"it is for {len(array)} samples", f"there are {count}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        raise FieldError(field, f"{array[tuple(place)]} at {place}", "it must be finite")
    if array.dtype.kind == "f" and array.size and np.abs(array).max() > (most := np.finfo(np.float32).max):
        raise FieldError(field, f"values to {np.abs(array).max():.4g}", f"they must fit into float32: at most {most:.4g}")
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        ends = np.iinfo(np.int32)
        if array.size and not ends.min <= array.min() <= array.max() <= ends.max:
            raise FieldError(field, f"values from {array.min()} to {array.max()}", "integers must fit into 32 bits")
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def count_of(condition: Arrays) -> int:
    """Returns the number of samples that a condition is for."""
    return len(next(iter(flat(condition).values())))


def each(function: Callable[[Any], Any], condition: Any) -> Any:
    """Applies a function to every array of a condition, on the host or on devices."""
    return {name: each(function, x) for name, x in condition.items()} if isinstance(condition, Mapping) else function(condition)


def take(condition: Arrays, index: np.ndarray) -> Arrays:
    """Returns the entries of some samples, counted round: index N is that of sample 0 again."""
    return each(lambda x: x[index % len(x)], condition)


def form_of(condition: Arrays) -> Form:
    """Returns shapes and dtypes of one sample's condition."""
    return each(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), condition)


def batched(form: Form, *lead: Any) -> Form:
    """Returns the shapes of a batch of conditions."""
    return each(lambda x: jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype), form)


def flat(condition: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the arrays by their names, `a/b` of dicts in dicts; `condition` of one alone."""
    if not isinstance(condition, Mapping):
        return {prefix or ALONE: condition}
    return {path: x for name, one in condition.items() for path, x in flat(one, f"{prefix}/{name}".lstrip("/")).items()}


def named(condition: Arrays) -> dict[str, Any]:
    """Returns the arrays under the names of an .npz file: `condition`, or `condition/NAME` for each of several."""
    return {ALONE if name == ALONE else f"{ALONE}/{name}": x for name, x in flat(condition).items()}


def of_names(arrays: Mapping[str, Any]) -> Arrays:
    """Returns the condition that arrays of an .npz file hold, the inverse of `named`; other names are ignored.

    Raises:
        ValueError: when there is none, or names contradict each other.
    """
    if ALONE in arrays:
        if both := [path for path in arrays if path.startswith(f"{ALONE}/")]:
            raise ValueError(f"{ALONE} is an array and holds {', '.join(both)}")
        return arrays[ALONE]
    found: dict[str, Any] = {}
    for path, array in arrays.items():
        first, *above = path.split("/")
        if first != ALONE:
            continue
        here = found
        for one in above[:-1]:
            here = here.setdefault(one, {})
            if not isinstance(here, dict):
                raise ValueError(f"{path} is an array and holds others")
        if above[-1] in here:
            raise ValueError(f"{path} is an array and holds others")
        here[above[-1]] = array
    if not found:
        raise ValueError(f"it holds {', '.join(arrays) or 'nothing'}, but no {ALONE} or {ALONE}/NAME")
    return found


def as_json(form: Form) -> Any:
    """Returns a form as files hold it: `["float32", [8, 8, 1]]`, or such by name; None where there is no condition."""
    return None if form is None else each(lambda x: [str(x.dtype), list(x.shape)], form)


def from_json(content: Any) -> Form:
    """Returns the form that a file holds, None of one without.

    Raises:
        ValueError: when it is none.
    """
    if content is None:
        return None
    if isinstance(content, dict) and content and all(isinstance(name, str) and name and "/" not in name for name in content):
        return {name: from_json(one) for name, one in content.items()}
    if isinstance(content, list) and len(content) == 2 and content[0] in _DTYPES and isinstance(content[1], list):
        sides = content[1]
        if all(type(side) is int and 0 < side <= _MOST for side in sides) and np.prod(sides, dtype=np.float64) <= _MOST:
            return jax.ShapeDtypeStruct(tuple(sides), np.dtype(content[0]))
    raise ValueError(f"a condition of the form {str(content)[:60]}")


def words(form: Form) -> str:
    """Returns a form in words: `half float32 [8, 8, 1], digit int32 []`."""
    found = sorted(flat(form).items())
    return ", ".join(f"{'' if name == ALONE else f'{name} '}{x.dtype} {list(x.shape)}" for name, x in found)
