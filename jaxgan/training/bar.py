"""Progress on stderr: a bar on a terminal, else a line for each row of metrics."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO, cast

from tqdm import tqdm

from jaxgan.system import hosts
from jaxgan.system.messages import Unfailing, say

_WIDE = 150  # columns that a bar with all figures and the longest verdict takes
_NARROW_BAR = "{percentage:3.0f}%|{bar:12}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"


class Bar(NamedTuple):
    update: Callable[[int], Any]
    show: Callable[[dict[str, Any]], None]
    note: Callable[[str], Any]  # a word on what is done between steps


@contextmanager
def shown(step: int, steps: int) -> Iterator[Bar]:
    """A bar on a terminal, else a plain line for each row of metrics."""

    def text(row: dict[str, Any], *, short: bool = False) -> str:
        names = {"d_loss": "D loss", "g_loss": "G loss", "d_real": "D(x)", "d_fake": "D(G(z))", "fid": "Frechet distance"}
        if short:
            names = {"d_loss": "D", "g_loss": "G"}
        shown = [f"{label} {row[name]:.{2 if short else 3}f}" for name, label in names.items() if row.get(name) is not None]
        return ("  " if not short else " ").join([*shown, row["verdict"]] if row.get("verdict") else shown)

    if not hosts.is_first():
        yield Bar(lambda _: None, lambda _: None, lambda _: None)
    elif sys.stderr is not None and sys.stderr.isatty():
        stream = cast(TextIO, Unfailing(sys.stderr))  # a terminal may be closed
        narrow = shutil.get_terminal_size((80, 24)).columns < _WIDE
        form = _NARROW_BAR if narrow else None
        with tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True, file=stream, bar_format=form) as bar:
            bar.set_postfix_str("compiling")

            def update(count: int) -> None:
                if bar.postfix == "compiling":
                    bar.set_postfix_str("", refresh=False)
                bar.update(count)

            yield Bar(update, lambda row: bar.set_postfix_str(text(row, short=narrow)), bar.set_postfix_str)
    else:
        if step < steps:
            say("compiling")
        yield Bar(lambda _: None, lambda row: say(f"step {row['step']}/{steps}  {row['seconds']:.0f} s  {text(row)}"), say)
