"""Evaluation: metrics of the quality of samples, and the verdict on a training run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "comparison",
        "features",
        "metric",
        "metrics",
        "quality",
        "report",
        "resemblance",
        "settings",
        "verdict",
        "watching",
    ),
)
