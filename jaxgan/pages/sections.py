"""Sections of a report, from what was read of a run; no picture is made here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxgan.pages.facts import Facts, nearest_preset
from jaxgan.pages.markup import Html, joined, tag
from jaxgan.pages.markup import table as table_of
from jaxgan.pictures.series import title
from jaxgan.recipes import formats
from jaxgan.system import files
from jaxgan.system.messages import FieldError
from jaxgan.training.run import from_here

_MOST = 200  # entries of a list that a page shows
_BETTER = {"lower": "lower is better", "higher": "higher is better", "as real": "the nearer to real samples the better"}
_SOUND = ("converged", "still improving")  # verdicts; any other is bad


def section(name: str, title: str, *inside: Any) -> Html:
    """Returns a section with its heading, which the navigation names."""
    return tag("section", tag("h2", title, id=f"{name}-title"), *inside, id=name, aria_labelledby=f"{name}-title")


def told(facts: Facts) -> dict[str, Html]:
    """Returns the content of each section that is words alone, by its name.

    Raises:
        FieldError: when a file of the run holds something else than what was written into it.
    """
    of = (summary, verdict, evaluation, recipe, data, changes, versions)
    found = {}
    for make in of:
        try:
            found[make.__name__] = joined(make(facts))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            words = f"its {make.__name__} cannot be told: {files.told(error)}"
            raise FieldError("run", f"{facts.path} is damaged or of another version", words, link=": ") from error
    return found


def summary(facts: Facts) -> Html:
    """Returns the run in a few numbers: state, steps, images shown, time, device."""
    last, recipe, content = facts.rows[-1], facts.record.recipe, facts.record.content
    steps = recipe.get("steps")
    state = "finished" if facts.finished else "not finished"
    device = _dict(content.get("device"))
    cells = [
        ("state", f"{state}: step {last['step']:,} of {_count(steps)}"),
        ("samples shown", _count(last.get("images"))),
        ("time", _duration(last.get("seconds"))),
        ("device", f"{device.get('count', '?')} × {device.get('kind', 'not recorded')}"),
        ("GANs side by side", _members(facts.rows)),
        ("folder", str(facts.path)),
    ]
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in cells if value], class_="facts")


def verdict(facts: Facts) -> list[Html]:
    """Returns the last verdict with its evidence, of each GAN where there are several, and how it came to be."""
    said = [row for row in facts.rows if row.get("verdict")]
    if not said:
        told = next((row["evidence"] for row in reversed(facts.rows) if row.get("evidence")), ["no figures were measured"])
        return [tag("p", f"No verdict: {'; '.join(told)}.")]
    last = said[-1]
    found = [tag("p", tag("strong", last["verdict"], class_=f"verdict {_mark(last)}"), _at(last))]
    if last.get("evidence"):
        found.append(tag("ul", [tag("li", each) for each in last["evidence"]]))
    members = last.get("members") or {}
    if "verdict" in members:
        evidence = members.get("evidence") or [[]] * len(members["verdict"])
        rows = [
            [str(i), word or "too early", "; ".join(map(str, why or []))]
            for i, (word, why) in enumerate(zip(members["verdict"], evidence, strict=True))
        ]
        found.append(table_of("Verdict of each GAN", ["GAN", "verdict", "evidence"], rows[:_MOST]))
    turns = [row for i, row in enumerate(said) if not i or row["verdict"] != said[i - 1]["verdict"]]
    if len(turns) > 1:
        items = [tag("li", f"{row['verdict']}", _at(row)) for row in turns[-_MOST:]]
        found.append(tag("details", tag("summary", f"It changed {_times(len(turns) - 1)}"), tag("ol", items)))
    return found


def evaluation(facts: Facts) -> list[Html]:
    """Returns the figures of evaluation.json, each beside that of real samples, with its definition below."""
    content = facts.evaluation
    if content is None:
        words = facts.evaluation_missing or "Not evaluated yet"
        return [tag("p", f"{words}. ", tag("code", f"jaxgan evaluate {from_here(facts.path)}"), " measures the samples.")]
    step, last = content.get("step"), facts.rows[-1]["step"]
    when = f"Measured at step {_count(step)}"
    if isinstance(step, int) and step < last:
        when += f"; the run has gone on to step {last:,} since"
    values = list(content["values"].items())[:_MOST]
    rows = [[_title(name, each), _value(each), _floor(each), _BETTER.get(str(each.get("better")), "")] for name, each in values]
    heads = ["figure", "value", "real samples in place of generated ones", "direction"]
    terms = [
        [tag("dt", _title(name, each)), tag("dd", each.get("definition", "no definition was recorded"))]
        for name, each in values
    ]
    found = [tag("p", f"{when}."), table_of("Figures beside those of real samples", heads, rows)]
    found.append(tag("details", tag("summary", "Definitions"), tag("dl", terms)))
    warnings = content.get("warnings")
    if isinstance(warnings, list) and warnings:
        found.append(tag("ul", [tag("li", each) for each in warnings[:_MOST]], class_="warnings"))
    return found


def _title(name: str, value: Mapping[str, Any]) -> str:
    return str(value.get("title") or title(name))


def _value(value: Mapping[str, Any]) -> str:
    error, deviation = value.get("standard_error"), value.get("deviation")
    spread = f" ± {_number(error)} (standard error)" if error is not None else ""
    spread = spread or (f" ± {_number(deviation)} (over subsets)" if deviation is not None else "")
    return f"{_number(value.get('mean'))}{spread}"


def _floor(value: Mapping[str, Any]) -> str:
    floors = value.get("floors")
    told = []
    for each in floors if isinstance(floors, list) else []:
        if isinstance(each, dict):
            spread = "" if each.get("deviation") is None else f" ± {_number(each['deviation'])}"
            told.append(f"{_number(each.get('value'))}{spread}: {each.get('words', '')}")
    return "; ".join(told) or _number(value.get("floor"))


def recipe(facts: Facts) -> list[Html]:
    """Returns what the recipe has other than the preset next to it, and the whole of it, folded."""
    name, found = nearest_preset(facts.record.recipe)
    rows = [[path, formats.words(was), formats.words(now)] for path, (was, now) in list(found.items())[:_MOST]]
    same = tag("p", "The same as the preset ", tag("code", name), ".")
    shown = table_of(f"Fields that differ from the preset {name}", ["field", name, "this run"], rows) if rows else same
    whole = tag("pre", tag("code", json.dumps(facts.record.recipe, indent=2, default=str)), tabindex="0")
    return [shown, tag("details", tag("summary", "The whole recipe"), whole)]


def data(facts: Facts) -> list[Html]:
    """Returns facts about the data: shape, classes with their counts, range, units, origin, fingerprint."""
    content = facts.record.content["data"]
    names, counts = facts.record.class_names, content.get("counts")
    counts = counts if isinstance(counts, list) and len(counts) == len(names) else [""] * len(names)
    source = facts.record.recipe.get("data")
    units, range_ = content.get("units"), content.get("range")
    cells = [
        ("data set", source.get("name", source.get("type")) if isinstance(source, dict) else source),
        ("shape of a sample", " × ".join(map(str, facts.record.sample))),
        ("samples", _count(content.get("size")) if content.get("size") else "drawn anew for each step"),
        ("classes", f"{facts.record.classes:,}" if facts.record.classes else "not used"),
        ("range", " to ".join(map(_number, range_)) if isinstance(range_, list) else None),
        ("units", _units(units) if isinstance(units, dict) else None),
        ("condition", json.dumps(content["condition"]) if content.get("condition") else None),
        ("origin", content.get("origin")),
        ("fingerprint", content.get("fingerprint")),
    ]
    found = [tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in cells if value], class_="facts")]
    if names:
        rows = [[name, _count(count) if count != "" else "not recorded"] for name, count in zip(names, counts, strict=True)]
        more = f", the first {_MOST} of {len(rows):,}" if len(rows) > _MOST else ""
        shown = table_of(f"Classes{more}", ["class", "samples"], rows[:_MOST])
        found.append(tag("details", tag("summary", f"{len(names):,} classes by name"), shown))
    return found


def _units(units: Mapping[str, Any]) -> str:
    ends = [units.get("low") or [], units.get("high") or []]
    pairs = ", ".join(f"{_number(low)} to {_number(high)}" for low, high in list(zip(*ends, strict=False))[:8])
    unit = f" {units['unit']}" if units.get("unit") else ""
    return f"{units.get('dtype')}{unit}" + (f"; {pairs} are -1 to 1 for the networks" if pairs else "; as they are")


def versions(facts: Facts) -> list[Html]:
    """Returns the versions of what trained the run, the settings of JAX, and the user's code."""
    content, found = facts.record.content, []
    told = _dict(content.get("versions"))
    found.append(table_of("Versions", ["package", "version"], [[name, each] for name, each in told.items()]))
    settings = content.get("environment")
    if isinstance(settings, dict) and settings:
        rows = [[name, "default" if each is None else each] for name, each in settings.items()]
        found.append(table_of("Settings of JAX", ["setting", "value"], rows))
    if facts.record.code:
        rows = [[name, origin.path, tag("code", origin.sha256 or "")] for name, origin in facts.record.code.items()]
        found.append(table_of("Code of the user's", ["file", "path", "sha256"], rows[:_MOST]))
    return found


def changes(facts: Facts) -> list[Html]:
    """Returns what was changed of the recipe, the data and the code, and at which step."""
    every = [each for each in facts.record.changes if isinstance(each, dict)]
    if not every:
        return [tag("p", "Nothing was changed while it trained.")]
    rows = [[_count(each.get("step")), tag("ul", [tag("li", line) for line in _changed(each)])] for each in every[-_MOST:]]
    more = f", the last {_MOST} of {len(every):,}" if len(every) > _MOST else ""
    return [table_of(f"Changes by step{more}", ["from step", "what"], rows)]


def _changed(entry: Mapping[str, Any]) -> Iterable[str]:
    for kind in ("fields", "data"):
        for name, pair in (entry.get(kind) or {}).items() if isinstance(entry.get(kind), dict) else ():
            was, now = pair if isinstance(pair, (list, tuple)) and len(pair) == 2 else ("?", pair)
            yield f"{'data: ' if kind == 'data' else ''}{name}: {_cut(formats.words(was))} → {_cut(formats.words(now))}"
    for name in entry.get("code") or ():
        yield f"code: {name}"
    if entry.get("rollback"):
        yield "after a rollback, because a value was not finite"


def _cut(words: str) -> str:
    return words if len(words) <= 200 else f"{words[:200]} …"


def _mark(row: Mapping[str, Any]) -> str:
    """Returns the class of a verdict: good where all GANs converged, bad where one of them went wrong."""
    words = {word for word in (row.get("members") or {}).get("verdict", [row["verdict"]]) if word}
    return "good" if words == {_SOUND[0]} else "fair" if words <= {*_SOUND} else "bad"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _at(row: Mapping[str, Any]) -> str:
    return f" at step {row['step']:,}"


def _members(rows: Sequence[Mapping[str, Any]]) -> str:
    members = rows[-1].get("members") or {}
    return str(max((len(each) for each in members.values() if isinstance(each, list)), default="")) if members else ""


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)):
        return ""
    hours, rest = divmod(round(seconds), 3_600)
    if not hours and rest < 60:
        return f"{rest} s"
    return f"{hours:,} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?" if value is None else str(value)


def _number(value: Any) -> str:
    return "not finite" if value is None else f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
