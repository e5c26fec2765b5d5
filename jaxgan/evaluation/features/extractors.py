"""Feature extractors by name, or of a user's function: from samples to the features that a metric compares."""

import hashlib
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.core.types import PyTree, Units
from jaxgan.evaluation.features import dinov2, efficientnet_lite, inception, published, resize
from jaxgan.evaluation.features.classifiers import NAMES as CLASSIFIERS
from jaxgan.evaluation.features.classifiers import classifier
from jaxgan.evaluation.features.inputs import Fit, are_images, ends, fit
from jaxgan.system.messages import FieldError, not_one_of

_Path = str | os.PathLike[str]

# Inception's features by the way that images become 299 pixels wide; the first is what FID was defined with.
PIPELINES: dict[str, tuple[Callable[[jax.Array], jax.Array], str]] = {
    "inception": (resize.tf1, "bilinear as TensorFlow 1 does it"),
    "inception:half_pixel": (resize.half_pixel, "bilinear, half-pixel centres, no antialiasing (pytorch-fid)"),
    "inception:clean": (resize.clean, "bicubic with antialiasing (clean-fid)"),
}
DINOV2 = {"dinov2": (published.DINOV2_L, dinov2.LARGE), "dinov2:base": (published.DINOV2_B, dinov2.BASE)}
# By the side of its input in pixels: 224 as it was trained, or 96, which is seven times as fast and tells less.
EFFICIENTNET = {"efficientnet-lite0": efficientnet_lite.SIDE, "efficientnet-lite0:96": 96}
WHITENED = "whitened"  # samples by the statistics of the real ones; see `whitened.py`
NAMES = ("pixels", "samples", WHITENED, *CLASSIFIERS, *PIPELINES, *DINOV2, *EFFICIENTNET)
WITH_LOGITS = (*CLASSIFIERS, *PIPELINES, *EFFICIENTNET)  # extractors that are classifiers
LARGE = (*PIPELINES, *DINOV2, *EFFICIENTNET)  # extractors with published weights, whose features are many to keep
TAKES_NO_WEIGHTS = "takes none; inception, dinov2 and efficientnet-lite0 do"
NOTHING = "none"  # stands for no extractor, where metrics look at samples only


class Extracted(NamedTuple):
    """The output of an extractor."""

    features: jax.Array  # [B, F] float32
    logits: jax.Array | None  # [B, K] float32, of a classifier


class Extractor(NamedTuple):
    """One function `samples -> features`, its name and its checksum."""

    name: str
    checksum: str  # sha256: of the weights' file, as published or as trained; of a user's code; of pixels, of their shape
    size: int  # F
    resize: str  # in words, the changes that images undergo first
    accuracy: float | None  # of a classifier that the library trained, on its test split
    batch: int  # number of samples at a time that suits it
    params: PyTree
    apply: Callable[[PyTree, jax.Array], Extracted]  # (params, samples [B, ...], images uint8 and others float32) -> Extracted
    digest: str = ""  # sha256 by which statistics are kept on disk, where it is not the checksum
    title: str = ""  # of the network, in the headings of figures that must not be taken for those of another

    def features(self, images: jax.Array) -> jax.Array:
        """Images `[B, H, W, C]` uint8 to features `[B, F]` float32."""
        return self.apply(self.params, images).features


def own(data: str, channels: int = 3) -> str:
    """Returns the extractor that suits a data set of images.

    Args:
        data: name of the data set.
        channels: of an image.

    Returns:
        The classifier trained on these data, if any. Otherwise for pictures in colour a network of natural images:
        EfficientNet-Lite0 where its wheel is installed, else Inception. Otherwise the samples, whitened.
    """
    name = {"halves": "digits"}.get(data, data.removeprefix("tfds:"))
    if name in CLASSIFIERS:
        return name
    if channels not in (3, 4):
        return WHITENED
    return "inception" if published.installed(efficientnet_lite.WEIGHTS) is None else "efficientnet-lite0"


def extractor(
    name: str,
    shape: tuple[int, ...],
    *,
    reference: tuple[int, ...] | None = None,
    weights: _Path | None = None,
    data_dir: _Path | None = None,
    cache_dir: _Path | None = None,
) -> Extractor:
    """Returns the extractor of that name for samples of one shape.

    Args:
        name: `pixels`; `samples`, any data flattened, which of images are the pixels; a classifier that the library
            trains itself, `digits`, `mnist`, `fashion_mnist`, `cifar10`;
            `inception`, FID's network, or `inception:half_pixel`, `inception:clean` for other input pipelines;
            `dinov2` (ViT-L/14) or `dinov2:base` (ViT-B/14);
            `efficientnet-lite0`, at 224 pixels, or `efficientnet-lite0:96`, at 96.
        shape: shape of a sample, `(H, W, C)` of images.
        reference: shape of the samples that these are compared with, to which pixels are brought; their own when None.
        weights: file of a published network's weights; from the cache, or else from the network, when None.
        data_dir: of TFDS sets, to train a classifier with; as for `data.load`.
        cache_dir: as for `data.load`.

    Returns:
        An `Extractor`.

    Raises:
        ValueError: for an unknown name, images that do not fit, or a file that is not the published one.
        FileNotFoundError: when weights are not there and cannot be had, with the file and where to put it; or when data to
            train a classifier with are not prepared.
    """
    if name not in NAMES:
        raise not_one_of("features", name, NAMES)
    if weights is not None and name not in LARGE:
        raise FieldError("weights", weights, f"{name} {TAKES_NO_WEIGHTS}")
    if name == WHITENED:
        raise FieldError("features", name, "they are made of real samples, which an evaluation has")
    wanted = shape if reference is None else reference
    if not are_images(shape) or not are_images(wanted):
        return _samples(name, shape, wanted)
    image, wanted_image = _image_shape(shape), _image_shape(wanted)
    if name in ("pixels", "samples"):
        return _pixels(fit(image, wanted_image), wanted_image)._replace(name=name)
    if name in CLASSIFIERS:
        return _classifier(name, image, data_dir, cache_dir)
    fitted = fit(image, (None, None, 3))
    if name in PIPELINES:
        return _inception(name, fitted, image, weights, cache_dir)
    if name in EFFICIENTNET:
        return _efficientnet(name, fitted, image, weights, cache_dir)
    return _dinov2(name, fitted, image, weights, cache_dir)


def nothing() -> Extractor:
    """Returns an extractor of one feature that is always 0, for metrics that look at samples only."""

    def apply(_: PyTree, samples: jax.Array) -> Extracted:
        return Extracted(jnp.zeros((len(samples), 1)), None)

    return Extractor(NOTHING, "", 1, "as they are", None, 500, {}, apply)


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, channels = shape
    return height, width, channels


def samples(shape: tuple[int, ...], wanted: tuple[int, ...], units: Units) -> Extractor:
    """Returns the extractor of samples in the user's units, flattened, each channel's range mapped to [-1, 1].

    Args:
        shape: shape of a sample.
        wanted: shape of the samples that these are compared with.
        units: of these.

    Raises:
        FieldError: when the shapes differ.
    """
    plain = _samples("samples", shape, wanted)
    if not units.low:
        return plain
    low, high = ends(units, len(shape) + 1)

    def apply(params: PyTree, given: jax.Array) -> Extracted:
        return plain.apply(params, (given - low) * (2.0 / (high - low)) - 1.0)

    words = f"{' '.join(map(str, units.low))} to {' '.join(map(str, units.high))} at -1 and 1"
    checksum = hashlib.sha256(f"{plain.checksum}, {words}".encode()).hexdigest()
    return plain._replace(
        checksum=checksum, apply=apply, resize=words if len(units.low) < 5 else "each channel's range at -1 and 1"
    )


def _samples(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> Extractor:
    if name != "samples":
        raise FieldError("features", name, f"samples of shape {shape} are no images; their features are samples")
    if shape != wanted:
        raise FieldError("features", name, f"samples of shape {shape} cannot be compared with those of shape {wanted}")

    def apply(_: PyTree, samples: jax.Array) -> Extracted:
        return Extracted(samples.reshape(len(samples), -1), None)

    checksum = hashlib.sha256(f"samples of {'x'.join(map(str, shape))}, flattened".encode()).hexdigest()
    return Extractor(name, checksum, math.prod(shape), "as they are", None, 500, {}, apply)


def _pixels(fitted: Fit, shape: tuple[int, int, int]) -> Extractor:
    def apply(_: PyTree, images: jax.Array) -> Extracted:
        x = fitted.apply(images)
        return Extracted(x.reshape(len(x), -1) / 127.5 - 1.0, None)

    words = f"pixels of {'x'.join(map(str, shape))} in [-1, 1], row by row"
    checksum = hashlib.sha256(words.encode()).hexdigest()
    return Extractor("pixels", checksum, math.prod(shape), fitted.words, None, 500, {}, apply)


def _classifier(name: str, shape: tuple[int, int, int], data_dir: _Path | None, cache_dir: _Path | None) -> Extractor:
    trained = classifier(name, data_dir=data_dir, cache_dir=cache_dir)
    fitted = fit(shape, trained.shape)

    def apply(params: PyTree, images: jax.Array) -> Extracted:
        logits, features = trained.apply(params, fitted.apply(images) / 127.5 - 1.0)
        return Extracted(features, logits)

    size = trained.params["hidden"]["bias"].shape[0]
    return Extractor(name, trained.checksum, size, fitted.words, trained.accuracy, 500, trained.params, apply)


def _inception(
    name: str, fitted: Fit, shape: tuple[int, int, int], weights: _Path | None, cache_dir: _Path | None
) -> Extractor:
    kept = published.load(published.INCEPTION, inception.from_torch, file=weights, cache_dir=cache_dir)
    scale, words = PIPELINES[name]

    def apply(params: PyTree, images: jax.Array) -> Extracted:
        found = inception.apply(params, scale(fitted.apply(images)))
        return Extracted(found["2048"], found["logits_unbiased"])

    words = _resized(fitted, shape, resize.SIDE, words)
    params, checksum = jax.tree.map(jnp.asarray, kept.params), kept.about["source_sha256"]
    return Extractor(name, checksum, 2048, words, None, _at_a_time(inception.BATCH), params, apply)


def _dinov2(name: str, fitted: Fit, shape: tuple[int, int, int], weights: _Path | None, cache_dir: _Path | None) -> Extractor:
    source, module = DINOV2[name]
    kept = published.load(source, lambda tensors: dinov2.from_torch(tensors, module), file=weights, cache_dir=cache_dir)

    def apply(params: PyTree, images: jax.Array) -> Extracted:
        features: Any = module.apply({"params": params}, dinov2.preprocess(fitted.apply(images)))
        return Extracted(features, None)

    words = _resized(fitted, shape, dinov2.SIDE, "bicubic with antialiasing")
    params, checksum = jax.tree.map(jnp.asarray, kept.params), kept.about["source_sha256"]
    return Extractor(name, checksum, module.width, words, None, _at_a_time(8), params, apply)


def _efficientnet(
    name: str, fitted: Fit, shape: tuple[int, int, int], weights: _Path | None, cache_dir: _Path | None
) -> Extractor:
    source, side = efficientnet_lite.WEIGHTS, EFFICIENTNET[name]
    kept = published.load(source, efficientnet_lite.from_torch, file=weights, cache_dir=cache_dir)

    def apply(params: PyTree, images: jax.Array) -> Extracted:
        return Extracted(*efficientnet_lite.apply(params, efficientnet_lite.preprocess(fitted.apply(images), side)))

    words = _resized(fitted, shape, side, "bicubic with antialiasing")
    params, checksum = jax.tree.map(jnp.asarray, kept.params), kept.about["source_sha256"]
    title = efficientnet_lite.TITLE if side == efficientnet_lite.SIDE else f"{efficientnet_lite.TITLE}, {side} pixels"
    size = params["logits"]["kernel"].shape[0]
    return Extractor(name, checksum, size, words, None, _at_a_time(8), params, apply, title=title)


def _at_a_time(on_cpu: int) -> int:
    """Images of a large network: what a CPU's caches bear, or what keeps accelerators busy."""
    return on_cpu if jax.default_backend() == "cpu" else 128 * jax.device_count()


def _resized(fitted: Fit, shape: tuple[int, int, int], side: int, words: str) -> str:
    """Without the sides that stay as they are: here the network's own pipeline changes them."""
    colour = fitted.words.partition("; ")[2]
    return "; ".join(filter(None, (colour, f"{shape[0]}x{shape[1]} to {side}x{side}, {words}")))
