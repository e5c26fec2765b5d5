"""Versions of this package and of those that it depends on."""

import sys
from importlib.metadata import version


def of(package: str) -> str:
    """Returns the version of a package; for this one, that of the code in use, which need not be installed."""
    return str(sys.modules["jaxgan"].__version__) if package == "jaxgan" else version(package)
