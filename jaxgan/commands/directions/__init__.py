"""Directions of a latent space: `directions` and the ways of finding them."""

from jaxgan.commands.directions.command import directions as directions
