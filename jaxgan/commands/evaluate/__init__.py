"""How good is a run, or a set of images: figures, each with how it was obtained and with what real images score."""

from jaxgan.commands.evaluate.command import METRICS, compare, evaluate
from jaxgan.commands.evaluate.report import Result, Value, table

__all__ = ["METRICS", "Result", "Value", "compare", "evaluate", "table"]
