"""Measures runs and sets of images: figures, each with how it was obtained and with the figure of real images."""

from jaxgan.commands.evaluate.command import compare, evaluate
from jaxgan.commands.evaluate.targets import METRICS
from jaxgan.evaluation.report import Result, Value, table

__all__ = ["METRICS", "Result", "Value", "compare", "evaluate", "table"]
