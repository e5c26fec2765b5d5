"""Walks through latent space: `interpolate`, the ways it can go, and how they are drawn."""

from jaxgan.commands.interpolate.command import interpolate as interpolate
