"""Coverage of families of samples whose parameters can be recovered: the data sets `signals` and `volumes`."""

import functools
from collections.abc import Callable

import numpy as np

from jaxgan.data.generated import signals, volumes
from jaxgan.evaluation.metric import Metric, Shown
from jaxgan.system.messages import FieldError

_VISITED = 0.2  # a cell is visited from this part of the real samples' share on
Recovered = tuple[np.ndarray, np.ndarray]  # cells [N], -1 outside of all; misfits [N]


def cells_of_signals(samples: np.ndarray) -> Recovered:
    """Returns the cell of each signal, by form (3), cycles (4) and amplitude (3), and the share of power beyond the wave."""
    found = signals.recover(samples)
    cells, inside = found.form.astype(int), np.ones(len(samples), bool)
    for value, ends, count in ((found.cycles, signals.CYCLES, 4), (found.amplitude, signals.AMPLITUDES, 3)):
        cells, inside = _cut(cells, inside, value, ends, count)
    return np.where(inside, cells, -1), found.misfit


def cells_of_volumes(samples: np.ndarray) -> Recovered:
    """Returns the cell of each volume, by octant of the centre (8) and radii (2 each), and the share of power beyond it."""
    found = volumes.recover(samples)
    cells, inside = np.zeros(len(samples), int), np.ones(len(samples), bool)
    for values, ends in ((found.centre, volumes.CENTRES), (found.radii, volumes.RADII)):
        for value in values.T:
            cells, inside = _cut(cells, inside, value, ends, 2)
    return np.where(inside, cells, -1), found.misfit


def _cut(
    cells: np.ndarray, inside: np.ndarray, value: np.ndarray, ends: tuple[float, float], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts each cell into `count` by a value; the outer ones reach a tenth of the range beyond its ends."""
    share = (value - ends[0]) / (ends[1] - ends[0])
    part = np.clip(np.floor(count * share), 0, count - 1).astype(int)
    return count * cells + part, inside & (np.abs(share - 0.5) < 0.6)


def _family(
    real: np.ndarray, fake: np.ndarray, *, figure: str, shape: tuple[int, ...], cells: Callable[[np.ndarray], Recovered]
) -> dict[str, float]:
    if real.shape[1:] != shape or fake.shape[1:] != shape:
        raise FieldError("metrics", f"{figure}s", f"it is of the data set's samples, {shape}, not of {real.shape[1:]}")
    (wanted, real_misfit), (visited, misfit) = cells(real), cells(fake)
    size = max(wanted.max(), visited.max()) + 1
    shares = [np.bincount(each[each >= 0], minlength=size) / len(each) for each in (wanted, visited)]
    there = shares[0] > 0
    good = misfit <= np.quantile(real_misfit, 0.99)
    return {
        f"{figure}_coverage": float((shares[1][there] >= _VISITED * shares[0][there]).mean()),
        f"{figure}_misfit": float(np.median(misfit)),
        f"{figure}_good": float(good.mean()),
    }


def _metric(figure: str, shape: tuple[int, ...], cells: Callable[[np.ndarray], Recovered], parameters: str) -> Metric:
    return Metric(
        functools.partial(_family, figure=figure, shape=shape, cells=cells),
        of="samples",
        name=f"{figure}s",
        better="higher",
        figures={
            f"{figure}_coverage": Shown(f"coverage of {parameters}", "higher"),
            f"{figure}_misfit": Shown(f"power that is of no {figure}", "lower"),
            f"{figure}_good": Shown("share as good as 99 % of real", "as real"),
        },
        definition=f"{parameters} recovered from samples: share of their cells visited at least a fifth as often as by "
        f"real samples; median share of power that is not the recovered {figure}'s; share with no more of it than 99 % of real",
    )


WAVEFORMS = _metric("waveform", (signals.LENGTH, 1), cells_of_signals, "form, cycles and amplitude")
ELLIPSOIDS = _metric("ellipsoid", (volumes.SIDE,) * 3 + (1,), cells_of_volumes, "centre and radii")
