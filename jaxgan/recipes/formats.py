"""Recipes as nested dicts of plain values, ready for JSON, and back; readers of earlier formats.

A part is `{"type": NAME, FIELD: VALUE, ..}`, with the short name of one of ours or the reference of one of yours. A value of
yours is its reference: as a text where a recipe's own field holds it, as `{"value": REFERENCE}` within a part. A path within a
part is `{"path": TEXT}`.
"""

import dataclasses
import enum
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from jaxgan.core.term import Term
from jaxgan.recipes import code, fields
from jaxgan.recipes.checks import check
from jaxgan.recipes.recipe import PARTS, Penalty, Recipe, short_names
from jaxgan.recipes.table import LOSSES, NETWORKS, OPTIMIZERS, PENALTIES, TERMS, at
from jaxgan.system.messages import FieldError, no_such_field, not_one_of, shown

FORMAT = 2
# Fields that may differ when a run goes on: none of them changes what a step computes.
FREE = (
    "steps", "log_interval", "sample_interval", "checkpoint_interval", "keep_checkpoints", "keep_best", "stop_on",
    "eval_every", "eval_metrics", "eval_features", "eval_n", "remat", "shard", "init_from",
    "on_nan", "rollback_factor", "rollbacks",
)  # fmt: skip
# Fields of a recipe whose text may be a reference to code.
_OPEN = ("data", "loss", "penalty.name", "terms", "terms.function", "augment", "eval_metrics", "eval_features")


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Returns a recipe as nested dicts of plain values.

    Raises:
        FieldError: when a part or value of the user's has no name at the top level of a file or module.
    """
    return {each.name: _field(recipe, each.name) for each in dataclasses.fields(recipe)}


def _field(recipe: Recipe, name: str) -> Any:
    value = getattr(recipe, name)
    if name == "penalty":
        plain = {each.name: _plain(getattr(value, each.name), f"penalty.{each.name}") for each in dataclasses.fields(value)}
        return plain | {"name": _named(value.name, "penalty.name", PENALTIES)}
    if name in PARTS:
        return _part(value, name)
    if name == "loss":
        return _named(value, name, LOSSES)
    if name == "eval_metrics":
        return [_named(each, name, {}) for each in value]
    if name == "terms":
        return [_term(each) for each in value]
    if name in ("augment", "eval_features"):
        return _named(value, name, {})
    return _plain(value, name)


def _term(value: Any) -> Any:
    """Returns a term as JSON holds it: a name, the reference of a function, the fields of a `Term`, or a part's."""
    if isinstance(value, Term):
        plain = {
            each.name: _plain(getattr(value, each.name), f"terms.{each.name}")
            for each in dataclasses.fields(value)
            if each.name != "function"
        }
        return {"function": _named(value.function, "terms.function", TERMS)} | plain
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(value, "terms")
    return _named(value, "terms", TERMS)


def _named(value: Any, field: str, names: Mapping[str, str]) -> str:
    """Returns the short name of a value of ours, or the reference of one of yours."""
    if isinstance(value, str):
        # As the user wrote it, from the folder that the user is in; it is recorded by the file's own name.
        return code.reference(code.named(value, field), field) if code.is_reference(value) else value
    for short, where in names.items():
        module, _, name = where.partition(":")
        if module in sys.modules and getattr(sys.modules[module], name) is value:
            return short
    return code.reference(value, field)


def type_name(part: Any, player: str) -> str:
    """Returns the name of a part's type: the short one of ours, or the reference of yours.

    Args:
        part: of a recipe.
        player: the field that holds it, one of `recipe.PARTS`.
    """
    kind = type(part)
    if player in ("generator", "discriminator"):
        short = short_names(player).get(kind)
    else:
        ours = {at(where): name for name, where in OPTIMIZERS.items()} if player.endswith("optimizer") else {}
        short = ours.get(kind)
    if short is None and kind.__module__ == "jaxgan.recipes.data":
        short = kind.__name__.lower()
    return short or code.reference(kind, player)


def _part(value: Any, player: str) -> Any:
    if not dataclasses.is_dataclass(value):  # a function that returns the data, or an Optax optimizer
        return code.reference(value, player)
    inner = {each.name: _plain(getattr(value, each.name), f"{player}.{each.name}") for each in dataclasses.fields(value)}
    return {"type": type_name(value, player)} | inner


def _plain(value: Any, field: str) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(each, field) for each in value]
    if isinstance(value, enum.Enum):
        return {"value": f"{code.reference(type(value), field)}.{value.name}"}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if isinstance(value, dict) and code.is_literal(value):
        return {key: _plain(each, field) for key, each in value.items()}
    if code.is_literal(value):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = {each.name: _plain(getattr(value, each.name), f"{field}.{each.name}") for each in dataclasses.fields(value)}
        return {"type": code.reference(type(value), field)} | inner
    return {"value": code.reference(value, field)}


def references(content: Any, path: str = "") -> Iterator[str]:
    """Yields the references to code that a recipe as a dict holds."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key in ("type", "value") and isinstance(value, str) and code.is_reference(value):
                yield value
            else:
                yield from references(value, f"{path}.{key}" if path else key)
    elif isinstance(content, list):
        for each in content:
            yield from references(each, path)
    elif path in (*_OPEN, *PARTS) and code.is_reference(content):
        yield content


def from_dict(content: Any, *, version: int = FORMAT, resolve: code.Resolve | None = None) -> Recipe:
    """Returns the recipe of nested dicts; a field that is missing takes its default.

    Args:
        content: as `to_dict` returns it.
        version: of the format, 1 or 2.
        resolve: what loads the code of references; without it a recipe that has any is refused.

    Raises:
        FieldError: when the format is unknown, a field is unknown or its value is not allowed.
    """
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
        raise FieldError("format", version, f"this version of jaxgan reads 1 to {FORMAT}; a newer one wrote it")
    if not isinstance(content, dict):
        raise FieldError("recipe", shown(content), "it must be a set of fields")
    if version == 1:
        content = _from_first(content)
    resolve = resolve or _refused
    known = fields.annotations(Recipe)
    values = {}
    for name, value in content.items():
        if name not in known:
            raise no_such_field(name, known)
        values[name] = _decoded_field(name, value, resolve)
    return check(Recipe(**values))


def _refused(reference: str, field: str) -> Any:
    raise FieldError(field, reference, "the code of others is not loaded here")


def _decoded_field(name: str, value: Any, resolve: code.Resolve) -> Any:
    if name in PARTS:
        return _decoded_part(name, value, resolve)
    if name == "penalty":
        inner = _fields(Penalty, value, "penalty.", resolve)
        if code.is_reference(inner.get("name")):
            inner["name"] = resolve(inner["name"], "penalty.name")
        return Penalty(**inner)
    if name == "terms" and isinstance(value, list):
        return tuple(_decoded_term(each, resolve) for each in value)
    if name == "eval_metrics" and isinstance(value, list):
        return tuple(resolve(each, name) if code.is_reference(each) else each for each in value)
    if name in _OPEN and code.is_reference(value):
        return resolve(value, name)
    return _decoded(value, name, resolve)


def _decoded_term(value: Any, resolve: code.Resolve) -> Any:
    if isinstance(value, str) and code.is_reference(value):
        return resolve(value, "terms")
    if not isinstance(value, dict) or "type" in value:
        return _decoded(value, "terms", resolve)
    inner = _fields(Term, value, "terms.", resolve)
    if "function" not in inner:
        raise FieldError("terms", shown(value), "it must name its function")
    if code.is_reference(inner["function"]):
        inner["function"] = resolve(inner["function"], "terms.function")
    return Term(**inner)


def _decoded_part(name: str, value: Any, resolve: code.Resolve) -> Any:
    if isinstance(value, str):
        return resolve(value, name) if code.is_reference(value) else value
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise FieldError(name, shown(value), "it must be a set of fields with a type")
    kind = _kind(name, value["type"], resolve)
    return kind(**_fields(kind, {key: each for key, each in value.items() if key != "type"}, f"{name}.", resolve))


def _kind(name: str, type_: str, resolve: code.Resolve) -> Any:
    from jaxgan.recipes import data

    names: dict[str, Any] = {}
    if name in ("generator", "discriminator"):
        names = {short: getattr(pair, name) for short, pair in NETWORKS.items()}
    elif name == "data":
        names = {"data": f"{data.__name__}:Data"}
    else:
        names = dict(OPTIMIZERS)
    if type_ in names:
        return at(names[type_])
    if not code.is_reference(type_):
        raise not_one_of(f"{name}.type", type_, names)
    return _dataclass(resolve(type_, f"{name}.type"), type_, name)


def _dataclass(kind: Any, reference: str, name: str) -> Any:
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        raise FieldError(f"{name}.type", reference, "it must be a frozen dataclass with a method build")
    return kind


def _fields(kind: type, content: Any, prefix: str, resolve: code.Resolve) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise FieldError(prefix.rstrip("."), shown(content), "it must be a set of fields")
    known = fields.annotations(kind)
    for name in content:
        if name not in known:
            raise no_such_field(f"{prefix}{name}", known)
    return {
        name: _decoded(value, f"{prefix}{name}", resolve, list if _is_list(known[name]) else tuple)
        for name, value in content.items()
    }


def _is_list(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation is list or typing.get_origin(annotation) is list


def _decoded(value: Any, field: str, resolve: code.Resolve, series: type = tuple) -> Any:
    if isinstance(value, list):
        return series(_decoded(each, field, resolve, series) for each in value)  # JSON knows no tuples
    if isinstance(value, dict):
        if set(value) == {"value"} and code.is_reference(value["value"]):
            return resolve(value["value"], field)
        if set(value) == {"path"} and isinstance(value["path"], str):
            return Path(value["path"])
        if code.is_reference(value.get("type")):
            kind = _dataclass(resolve(value["type"], f"{field}.type"), value["type"], field)
            return kind(**_fields(kind, {key: each for key, each in value.items() if key != "type"}, f"{field}.", resolve))
        return {key: _decoded(each, f"{field}.{key}", resolve, list) for key, each in value.items()}
    return value


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, free: tuple[str, ...] = FREE) -> dict[str, tuple[Any, Any]]:
    """Returns the fields that differ, `{path: (old, new)}`, but those that do not change what a step computes.

    Args:
        old: a recipe as `to_dict` has it.
        new: another.
        free: paths left out.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys((*old, *new)):
        was, now = old.get(name), new.get(name)
        if was == now or name in free:
            continue
        if not isinstance(was, dict) or not isinstance(now, dict):
            found[name] = (was, now)
        elif was.get("type") == now.get("type"):
            found |= {f"{name}.{path}": pair for path, pair in differences(was, now, free=()).items()}
        else:
            found[name] = (was.get("type"), now.get("type"))
    return found


def told(found: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Returns differences as lines: `batch_size: 128 -> 64`."""
    return [f"{path}: {words(was)} -> {words(now)}" for path, (was, now) in found.items()]


def words(value: Any) -> str:
    """Returns the value of a field in words."""
    return " ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


# Format 1 had one dataclass for all generators and one for all discriminators, with the fields of every network.
_FIRST_OF = {
    "generator": {
        "mlp": ("width", "depth", "norm"),
        "dcgan": ("width", "norm"),
        "sngan": ("width",),
        "r3gan": ("widths", "groups", "blocks", "expansion", "embedding", "half"),
        "stylegan2": ("depth", "style_dim", "channel_base", "channel_max", "architecture", "style_mixing", "clamp", "half"),
    },
    "discriminator": {
        "mlp": ("width", "depth", "norm"),
        "dcgan": ("width", "norm"),
        "sngan": ("width",),
        "r3gan": ("widths", "groups", "blocks", "expansion", "embedding", "half"),
        "stylegan2": ("depth", "channel_base", "channel_max", "architecture", "group", "group_features", "clamp", "half"),
    },
}


def _from_first(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a recipe of format 1 as one of format 2."""
    new = dict(content)
    for player, own in _FIRST_OF.items():
        union = content.get(player, {})
        if not isinstance(union, dict):
            raise FieldError(player, shown(union), "it must be a set of fields")
        network = union.get("network", "dcgan")
        if network not in own:
            raise not_one_of(f"{player}.network", network, own)
        kept = (*own[network], *(("latent_dim", "latent") if player == "generator" else ()))
        known = {name for each in own.values() for name in each} | {"network", "latent_dim", "latent", "pack"}
        for name in union:
            if name not in known:
                raise no_such_field(f"{player}.{name}", known)
        new[player] = {"type": network} | {
            {"half": "bfloat16_levels"}.get(name, name): union[name] for name in kept if name in union
        }
        if player == "discriminator" and "pack" in union:
            new["pack"] = union["pack"]
    for player in ("g_optimizer", "d_optimizer"):
        if isinstance(content.get(player), dict):
            new[player] = {"type": "adam", **content[player]}
    if isinstance(content.get("data"), dict):
        new["data"] = {"type": "data", **content["data"]}
    if content.get("eval_features", "") is None:
        new["eval_features"] = ""
    return new
