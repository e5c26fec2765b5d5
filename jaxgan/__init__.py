"""Generative adversarial networks in JAX: three pure functions, `init`, `step`, `sample`; read `jaxgan/core/gan.py` first."""

import lazy_loader

__version__ = "0.1.0"  # pyproject.toml reads it here

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
