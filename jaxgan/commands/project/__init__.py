"""Inversion: `project` and what it is made of."""

from jaxgan.commands.project.command import project as project
