"""The data of a run: told in a line when training starts, recorded in recipe.json, and compared when it goes on."""

from collections.abc import Mapping
from typing import Any

from jaxgan.core import conditions
from jaxgan.core.types import Dataset
from jaxgan.core.units import Facts, Units, as_json
from jaxgan.training.experiment import Experiment
from jaxgan.weights.portable import listed

_WIDE = 10.0  # largest number that networks see as it is without a word


def content(experiment: Experiment) -> dict[str, Any]:
    """Returns what recipe.json holds under `data`."""
    dataset, facts, condition = experiment.dataset, _facts(experiment), experiment.shape.condition
    of_condition = {} if condition is None else {"condition": conditions.as_json(condition)}
    return of_condition | {
        "shape": list(experiment.shape.sample),
        "classes": experiment.shape.classes,
        "class_names": list(experiment.class_names),
        "size": None if dataset is None else dataset.size,
        "counts": list(facts.counts) if experiment.shape.classes else [],
        "range": None if facts.least is None else [facts.least, facts.most],
        "units": None if dataset is None or dataset.units is None else as_json(dataset.units),
        "origin": facts.origin,
        "fingerprint": facts.fingerprint,
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns what differs between the data that two recipes hold, `{NAME: (old, new)}`.

    Nothing does where fingerprints are equal, or where one has none, as runs of earlier versions; where nothing that is
    recorded tells two sets apart, their fingerprints do.
    """
    was, now = old.get("fingerprint"), new.get("fingerprint")
    if was is None or now is None or was == now:
        return {}
    names = ("size", "class_names", "counts", "range", "units", "condition")
    found = {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
    return found or {"fingerprint": (str(was)[:12], str(now)[:12])}


def changes_told(found: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Returns differences in words, a line each: `data: 20 samples -> 23`."""
    words = {"size": "samples", "class_names": "classes", "counts": "samples of each class", "range": "values from and to"}
    lines = []
    for name, pair in found.items():
        was, now = (" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in pair)
        if name == "fingerprint":
            lines.append("data: as many samples, but their content is another")
        elif max(len(was), len(now)) > 60:
            lines.append(f"data: {words.get(name, name)} are others")
        else:
            lines.append(f"data: {words.get(name, name)} {was or 'none'} -> {now or 'none'}")
    return lines


def told(experiment: Experiment) -> str:
    """Returns what the data are in one line: samples, shape, range, classes, where from."""
    dataset = experiment.dataset
    assert dataset is not None
    facts = _facts(experiment)
    shape = f"{dataset.shape[0]} numbers" if len(dataset.shape) == 1 else "x".join(map(str, dataset.shape))
    many = "samples" if dataset.size is None else f"{dataset.size:,} samples"
    parts = [
        f"{many} of {shape}{'' if dataset.size else ', drawn anew for each step'}{_units(dataset.units, facts)}",
        _classes(experiment, dataset, facts),
    ]
    where = f", from {facts.origin}" if facts.origin not in ("", dataset.name) else ""
    return f"data: {dataset.name}: {'; '.join(part for part in parts if part)}{where}"


def _facts(experiment: Experiment) -> Facts:
    dataset = experiment.dataset
    if dataset is None or dataset.facts is None:
        return Facts("" if dataset is None else dataset.name, (), None, None, None)
    return dataset.facts()


def _units(units: Units | None, facts: Facts) -> str:
    if units is None:
        return ""
    reach = "" if facts.least is None else f" from {facts.least:g} to {facts.most:g}"
    words = f", {units.dtype}{reach}"
    if units.are_bytes:
        return words
    if not units.low:
        wide = facts.least is not None and facts.most is not None and max(-facts.least, facts.most) > _WIDE
        return f"{words}, as they are" + ("; --data.measure minmax maps each to [-1, 1]" if wide else "")
    pairs = list(zip(units.low, units.high, strict=True))
    shown = ", ".join(f"{low:g} to {high:g}" for low, high in pairs[:4]) + (" .." if len(pairs) > 4 else "")
    return f"{words}; {shown} become -1 to 1"


def _classes(experiment: Experiment, dataset: Dataset, facts: Facts) -> str:
    names, condition = dataset.class_names, experiment.shape.condition
    if condition is not None:
        return f"condition {conditions.words(condition)}"
    if not names:
        return "no classes"
    used = "" if experiment.shape.classes else ", not used"
    return f"{len(names)} class{'es' if len(names) > 1 else ''}{used}: {listed(names, facts.counts)}"
