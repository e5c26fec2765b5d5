"""A local page on which a generator is explored."""

from jaxgan.commands.explore.command import directions, explore

__all__ = ["directions", "explore"]
