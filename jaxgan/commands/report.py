"""A run in one HTML file, which needs no network."""

from pathlib import Path

from jaxgan.pages import report as page
from jaxgan.recipes.record import Allowed
from jaxgan.system import environment


@environment.fixed()
def report(
    run: str | Path,
    *,
    out: str | Path | None = None,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Path:
    """Writes a page about a run: verdict, samples over training, an interpolation, curves, figures, recipe, data, versions.

    The file takes less than 5 MB and needs no network. A run that still trains has one too. A run without a
    checkpoint, or without its code at hand, has one without the interpolation.

    Args:
        run: the run directory.
        out: the file, `.html`; `report.html` in the run by default.
        best: walk through the checkpoint that `keep_best` keeps rather than the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        The file.

    Raises:
        ValueError, FileNotFoundError: when there is no such run, it holds no metrics, the file cannot be written, or a damaged
            checkpoint is refused; nothing is written then.
    """
    allowed = Allowed(None if code is None else Path(code), trust_run_code)
    return page.write(run, out, allowed, best=best, strict=strict)
