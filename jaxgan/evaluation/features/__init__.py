"""Features of samples: classifiers the library trains itself, published networks, users' functions, and their statistics."""

from jaxgan.evaluation.features.classifiers import Classifier, classifier, predict
from jaxgan.evaluation.features.extractors import NAMES, Extractor, extractor, own
from jaxgan.evaluation.features.references import Reference, reference
from jaxgan.evaluation.features.stacked import stacked_mnist_coverage, stacked_mnist_modes
from jaxgan.evaluation.features.statistics import Statistics, features_of, gather

__all__ = [
    "NAMES",
    "Classifier",
    "Extractor",
    "Reference",
    "Statistics",
    "classifier",
    "extractor",
    "features_of",
    "gather",
    "own",
    "predict",
    "reference",
    "stacked_mnist_coverage",
    "stacked_mnist_modes",
]
