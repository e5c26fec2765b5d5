"""The report of a run in one HTML file, which needs no network and takes less than 5 MB."""

import base64
import hashlib
from pathlib import Path
from string import Template
from typing import Any

from jaxgan import pictures
from jaxgan.pages import charts, films, sections
from jaxgan.pages.facts import Facts, read
from jaxgan.pages.markup import Html, data, joined, printable, tag
from jaxgan.pages.sections import section
from jaxgan.pictures.series import Series
from jaxgan.recipes.record import Allowed
from jaxgan.system import files
from jaxgan.system.messages import FieldError, tell
from jaxgan.training.run import best_step

MOST = 5_000_000  # bytes of the file
_REST = 150_000  # of them, for the parts of the page that are not measured beforehand
_NEAREST = 250_000  # bytes of the picture of nearest real samples, at most


def write(
    path: str | Path, out: str | Path | None = None, allowed: Allowed | None = None, *, best: bool = False, strict: bool = False
) -> Path:
    """Writes the report of a run.

    Args:
        path: the run directory.
        out: the file, `.html`; `report.html` in the run by default.
        allowed: what the run's own code may do.
        best: walk through the checkpoint that `keep_best` keeps rather than the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        The file.

    Raises:
        ValueError, FileNotFoundError: when there is no such run, it holds no metrics, the file cannot be written, or a damaged
            checkpoint is refused; nothing is written then.
    """
    facts = read(path, allowed or Allowed())
    if best and facts.run is not None:
        best_step(facts.run)  # refused, where it keeps none
    target = _checked(facts.path / "report.html" if out is None else out)
    equilibrium, logit = facts.equilibrium
    counted = "images" if len(facts.record.sample) == 3 else "samples"
    found = pictures.series(facts.rows, equilibrium=equilibrium, logit=logit, counted=counted)
    drawn, told = charts.data(found), sections.told(facts)
    written = len(data(drawn)) + sum(len(each.encode()) for each in told.values())
    room = max(MOST - _REST - written, 0) * 3 // 4  # base64 makes four bytes of three
    near = films.nearest(facts.path / "evaluation-nearest.png", min(_NEAREST, room // 8))
    samples, left_out = films.samples(facts.path / "samples", room // 2)
    tell("report: drawing an interpolation")
    walks, missing = films.of_walks(facts, room * 3 // 8, best=best, strict=strict)
    every = [*([] if samples is None else [samples]), *walks]
    grids = tag("p", "No picture of samples is there.") if samples is None else films.figure(samples, 0)
    body = joined(
        section("verdict", "Verdict", told["summary"], told["verdict"]),
        section("samples", "Samples over training", grids, films.left_out(samples, left_out)),
        section("walk", "Interpolation", films.played(walks, len(every) - len(walks), missing)),
        section("curves", "Curves", _curves(found, drawn, facts)),
        section("evaluation", "Evaluation", told["evaluation"], near),
        section("recipe", "Recipe", told["recipe"]),
        section("data", "Data", told["data"]),
        section("changes", "Changes", told["changes"]),
        section("versions", "Versions", told["versions"]),
    )
    content = {"time": found.axis, "charts": drawn, "films": [film.data for film in every]}
    files.write(target, _page(facts.path.name, body, content))
    return target


def _checked(out: str | Path) -> Path:
    path = files.home_expanded(out, "out").absolute()
    if path.is_dir():
        raise FieldError("out", path, "that is a folder; it must be an .html file")
    if path.suffix.lower() != ".html":
        raise FieldError("out", path.name, "it must end in .html")
    if not path.parent.is_dir():
        raise FieldError("out", path, f"there is no folder {path.parent}")
    files.check_writable("out", path)
    return path


def _page(name: str, body: Html, content: dict[str, Any]) -> str:
    """Returns the whole page; its content security policy allows only its own script and style, and blocks all else."""
    here = Path(__file__).parent
    style, script = (files.read_text(here / each) for each in ("page.css", "report.js"))
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    own = {"style": style, "script": script, "policy": policy, "data": data(content)}
    return Template(files.read_text(here / "report.html")).substitute(own, name=joined(printable(name)), body=body)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _curves(found: Series, drawn: list[dict[str, Any]], facts: Facts) -> list[Html]:
    parts = [tag("p", "Point at a curve, or move along the slider below it with the arrow keys, to read its values.")]
    parts.append(tag("noscript", tag("p", "Without JavaScript the curves are told in words; curves.png has them drawn.")))
    parts.append(tag("div", charts.figures(found, drawn), class_="charts"))
    if found.note:
        parts.append(tag("p", f"One value throughout: {'; '.join(found.note)}."))
    if facts.left_out:
        parts.append(tag("p", f"Lines of metrics.jsonl that are no rows: {'; '.join(facts.left_out[:5])}.", class_="warnings"))
    return parts
