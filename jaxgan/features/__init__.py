"""Networks that judge images: classifiers the library trains itself and keeps, and what they say of generated samples."""

from jaxgan.features.classifiers import NAMES, Classifier, classifier, predict
from jaxgan.features.stacked import stacked_mnist_coverage, stacked_mnist_modes

__all__ = ["NAMES", "Classifier", "classifier", "predict", "stacked_mnist_coverage", "stacked_mnist_modes"]
