"""Classifiers by name: kept ones from the cache, others trained on the spot."""

import functools
import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import data
from jaxgan.core.types import Images, PyTree
from jaxgan.data.cache import directory
from jaxgan.data.source import to_float
from jaxgan.evaluation.features import cache
from jaxgan.evaluation.features.training import Training, initial, network, train
from jaxgan.system import files, versions
from jaxgan.system.messages import FieldError, not_one_of

_log = logging.getLogger("jaxgan")
_Path = str | os.PathLike[str]

TRAININGS = {
    "digits": Training(
        "digits",  # which has no test split: the last 397, of other writers, are left out of the training
        (8, 8, 1),
        classes=10,
        widths=(32, 64),
        features=64,
        epochs=20,
        batch_size=32,
        shift=1,
        train_split="train[:1400]",
        test_split="train[1400:]",
    ),
    "mnist": Training("mnist", (28, 28, 1), classes=10, widths=(32, 64, 96), features=128, epochs=7),
    "fashion_mnist": Training(
        "fashion_mnist", (28, 28, 1), classes=10, widths=(32, 64, 96), features=128, epochs=10, mirror=True
    ),
    "cifar10": Training(
        "cifar10",
        (32, 32, 3),
        classes=10,
        widths=(32, 64, 128, 128),
        features=128,
        epochs=10,
        learning_rate=0.03,
        mirror=True,
        network="residual",
        optimizer="muon",
    ),
}
NAMES = tuple(TRAININGS)


class Classifier(NamedTuple):
    """A trained classifier of images: two pure functions and where they come from."""

    name: str
    shape: tuple[int, int, int]  # of an image, (H, W, C)
    classes: int
    logits: Callable[[Images], jax.Array]  # [B, H, W, C] in [-1, 1] -> [B, classes]
    features: Callable[[Images], jax.Array]  # [B, H, W, C] in [-1, 1] -> [B, F], the hidden layer
    params: PyTree
    accuracy: float  # on the test split, in [0, 1]
    checksum: str  # sha256 of its safetensors file
    apply: Callable[[PyTree, Images], tuple[jax.Array, jax.Array]]  # (params, images) -> logits and features


def classifier(name: str, *, seed: int = 0, data_dir: _Path | None = None, cache_dir: _Path | None = None) -> Classifier:
    """The classifier of that name, from the cache or else trained now, which takes minutes, and kept.

    The cache is `CACHE/classifiers/NAME-SEED.safetensors`, with its checksum beside. A file that is damaged, or was
    trained in another way than this version's, is replaced.

    Args:
        name: `digits`, `mnist`, `fashion_mnist` or `cifar10`.
        seed: of the training, from 0 to 2**32 - 1.
        data_dir: of TFDS sets, needed for training only; as for `data.load`.
        cache_dir: as for `data.load`.

    Returns:
        A `Classifier`.

    Raises:
        FileNotFoundError: when it must be trained and the data are not prepared, with the command that does.
        ValueError: for an unknown name, a seed out of range, or a damaged cache without the data to train anew.
    """
    if name not in TRAININGS:
        raise not_one_of("name", name, TRAININGS)
    if not 0 <= seed < 2**32:
        raise FieldError("seed", seed, f"it must be from 0 to {2**32 - 1}")
    training = TRAININGS[name]
    path = directory(cache_dir) / "classifiers" / f"{name}-{seed}.safetensors"
    kept, damage = _kept(path, name, seed, training)
    if kept is not None:
        return _classifier(name, training, kept.params, kept.about["accuracy"], kept.checksum)

    source, train_split, test_split = training.data, training.train_split, training.test_split
    try:
        dataset = data.load(source, split=train_split, data_dir=data_dir, cache_dir=cache_dir)
        images, labels, _ = data.arrays(source, split=test_split, data_dir=data_dir, cache_dir=cache_dir)
    except FileNotFoundError as error:
        if damage:
            raise ValueError(f"{damage}; it cannot be trained anew: {error}") from None
        raise
    if damage:
        _log.warning("%s; it is trained anew", damage)
    params = jax.device_get(train(training, dataset, name=name, seed=seed))
    trained = _classifier(name, training, params)
    accuracy = float(np.mean(predict(trained, images) == labels))
    about = {**_identity(name, seed, training), "accuracy": accuracy, "versions": _versions()}
    content, checksum = cache.packed(params, about)
    try:
        cache.write(path, content, checksum)
    except OSError as error:  # costs minutes next time, not this result
        files.without_cache(path, error)
    _log.info("classifier %s: %.2f %% of the %s split right, %s", name, 100 * accuracy, test_split, path)
    return trained._replace(accuracy=accuracy, checksum=checksum)


def predict(trained: Classifier, images: np.ndarray | jax.Array, *, batch_size: int = 100) -> np.ndarray:
    """The most probable class of each image.

    Args:
        trained: classifier of images `[H, W, C]`.
        images: `[N, H, W, C]`, uint8, or floats in [-1, 1] (what lies outside is clipped); or larger by an even number
            of pixels, as MNIST padded to 32 is: then the centre counts.
        batch_size: images classified at once; on a CPU a hundred stay in the caches, a thousand are slower.

    Returns:
        `[N]` int32.

    Raises:
        ValueError: one line, when shape, type or values are none of these.
    """
    images = np.asarray(images)
    check_images(images, trained.shape)
    parts = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return np.concatenate([np.zeros(0, np.int32), *(_classes(trained.logits, _centre(part, trained.shape)) for part in parts)])


def check_images(images: np.ndarray, shape: tuple[int, int, int]) -> None:
    """Refuses what `predict` cannot judge; see there."""
    height, width, channels = shape
    more = [0, 0] if images.ndim != 4 else [images.shape[1] - height, images.shape[2] - width]
    if images.ndim != 4 or images.shape[3] != channels or min(more) < 0 or more[0] % 2 or more[1] % 2:
        allowed = f"[N, {height}, {width}, {channels}], or larger by an even number of pixels"
        raise FieldError("images", f"shape {images.shape}", f"it must be {allowed}")
    if images.dtype == np.uint8 or not images.size:
        return
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise FieldError("images", images.dtype, "they must be uint8, or floats in [-1, 1]")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise FieldError(
            "images", f"{np.count_nonzero(~np.isfinite(images))} of {images.size} values are not finite", "they must be"
        )
    if low >= 0.0 and high > 1.0:
        raise FieldError("images", f"floats from {low:g} to {high:g}", "they must be in [-1, 1]")


@functools.partial(jax.jit, static_argnums=0)
def _classes(logits: Callable[[Images], jax.Array], images: jax.Array) -> jax.Array:
    return logits(jnp.clip(to_float(images).astype(jnp.float32), -1.0, 1.0)).argmax(axis=-1).astype(jnp.int32)


def _centre(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    top, left = ((images.shape[axis + 1] - shape[axis]) // 2 for axis in (0, 1))
    return images[:, top : top + shape[0], left : left + shape[1]]


def _classifier(name: str, training: Training, params: PyTree, accuracy: float = math.nan, checksum: str = "") -> Classifier:
    module, params = network(training), jax.tree.map(jnp.asarray, params)

    def outputs(params: PyTree, images: Images) -> Any:
        if images.shape[1:] != training.shape or not jnp.issubdtype(images.dtype, jnp.floating):
            expected = f"floats in [-1, 1] of shape (B, {', '.join(map(str, training.shape))})"
            raise FieldError("images", f"{images.dtype} of shape {images.shape}", f"{name} takes {expected}")
        return module.apply({"params": params}, images)

    return Classifier(
        name=name,
        shape=training.shape,
        classes=training.classes,
        logits=lambda images: outputs(params, images)[0],
        features=lambda images: outputs(params, images)[1],
        params=params,
        accuracy=accuracy,
        checksum=checksum,
        apply=outputs,
    )


def _kept(path: Path, name: str, seed: int, training: Training) -> tuple[cache.Kept | None, str]:
    """Reads the cache; returns its content, or None and the reason in words, empty where the file is just absent."""
    try:
        kept = cache.read(path)
    except FileNotFoundError:
        return None, ""
    except cache.Damaged as error:
        return None, str(error)
    except OSError as error:
        return None, f"{path}: {error.strerror or error}"
    identity = _identity(name, seed, training)
    expected = jax.eval_shape(lambda: initial(training, jax.random.key(0)))
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (expected, kept.params))
    if {key: kept.about.get(key) for key in identity} != identity or shapes[0] != shapes[1] or "accuracy" not in kept.about:
        return None, f"{path}: it was trained in another way than this version trains {name} with seed {seed}"
    return kept, ""


def _identity(name: str, seed: int, training: Training) -> dict[str, Any]:
    # The default network and optimizer are left out, so that classifiers kept before these fields existed are still found.
    usual = {key: Training._field_defaults[key] for key in ("network", "optimizer")}
    settings = {key: value for key, value in training._asdict().items() if (key, value) not in usual.items()}
    return files.parse_json(json.dumps({"name": name, "seed": seed, "training": settings}))


def _versions() -> dict[str, str]:
    return {package: versions.of(package) for package in ("jaxgan", "jax", "flax", "optax", "numpy")}
