"""Periodic waves of three forms, whose parameters can be recovered from a signal."""

from typing import NamedTuple

import numpy as np

from jaxgan.data.generated import draws

LENGTH = 64
FORMS = ("sine", "square", "sawtooth")
CYCLES = (2.0, 6.0)  # in a signal
AMPLITUDES = (0.4, 1.2)  # volts
STEP = 1e-4  # volts, to which values are rounded
COUNTS = {"train": 8192, "test": 2048}
_SHARPNESS = 4.0  # of edges: so soft that each extends over a few places


class Parameters(NamedTuple):
    """The parameters of signals, `[N]` each."""

    form: np.ndarray  # number of one of FORMS
    cycles: np.ndarray
    amplitude: np.ndarray  # volts
    misfit: np.ndarray  # share of the signal's power that no wave of the family explains


def wave(form: np.ndarray, cycles: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Returns waves of amplitude 1.

    Args:
        form: `[N]` numbers of FORMS.
        cycles: `[N]` in a signal.
        phase: `[N]` in cycles.

    Returns:
        `[N, 64]`.
    """
    angle = 2.0 * np.pi * (cycles[:, None] * np.arange(LENGTH) / LENGTH + phase[:, None])
    sine, cosine = np.sin(angle), np.cos(angle)
    square = np.tanh(_SHARPNESS * sine) / np.tanh(_SHARPNESS)
    # sum_k 0.9^k sin(k angle) / k, the series of a sawtooth with its high terms damped: an edge that is soft.
    sawtooth = np.arctan2(0.9 * sine, 1.0 - 0.9 * cosine) / np.arcsin(0.9)
    return np.where(form[:, None] == 0, sine, np.where(form[:, None] == 1, square, sawtooth))


def samples(split: str) -> np.ndarray:
    """Returns waves with form, cycles, amplitude and phase drawn uniformly.

    Args:
        split: train or test.

    Returns:
        `[N, 64, 1]` float32, volts.
    """
    form, cycles, amplitude, phase = (draws.uniform("signals", split, i, (COUNTS[split],)) for i in range(4))
    found = wave(np.floor(len(FORMS) * form), _within(CYCLES, cycles), phase)
    found *= _within(AMPLITUDES, amplitude)[:, None]
    return (np.rint(found / STEP) * STEP).astype(np.float32)[..., None]


def recover(signals: np.ndarray) -> Parameters:
    """Returns the parameters of the wave nearest to each signal, among a grid of 3 x 65 x 32 forms, cycles and phases.

    Args:
        signals: `[N, 64, 1]`, volts.
    """
    grid = np.meshgrid(np.arange(3), np.linspace(*CYCLES, 65), np.arange(32) / 32, indexing="ij")
    form, cycles, phase = (each.reshape(-1) for each in grid)
    waves = wave(form, cycles, phase)
    norms = np.sqrt(np.square(waves).sum(1))
    templates = (waves / norms[:, None]).astype(np.float32).T
    nearest, height = [], []
    for start in range(0, len(signals), 1024):
        products = signals[start : start + 1024, :, 0].astype(np.float32) @ templates
        nearest.append(products.argmax(1))
        height.append(products.max(1).astype(np.float64))
    index, along = np.concatenate(nearest), np.concatenate(height)
    total = np.square(signals[..., 0].astype(np.float64)).sum(1)
    misfit = 1.0 - np.square(along) / np.maximum(total, 1e-12)
    return Parameters(form[index], cycles[index], along / norms[index], misfit)


def _within(ends: tuple[float, float], share: np.ndarray) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * share
