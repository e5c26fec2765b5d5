"""A local page on which a generator is explored."""

from jaxgan.commands.explore.command import explore

__all__ = ["explore"]
