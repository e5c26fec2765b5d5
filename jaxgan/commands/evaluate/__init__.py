"""Measures runs and sets of images: figures, each with how it was obtained and with the figure of real images."""

from jaxgan.commands.evaluate.command import METRICS, compare, evaluate
from jaxgan.evaluation.report import Result, Value, table

__all__ = ["METRICS", "Result", "Value", "compare", "evaluate", "table"]
