"""Image sets that TensorFlow Datasets has prepared, read without TensorFlow."""

import functools
import logging
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.data import cache, facts, fit
from jaxgan.data.source import Arrays, Source
from jaxgan.system import files
from jaxgan.system import images as pictures
from jaxgan.system.messages import FieldError, did_you_mean, shown

_log = logging.getLogger("jaxgan")
_CHUNK = 1024  # images decoded at a time
# Without a namespace, which TFDS would look up on the network.
_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\d.*]+)?")


def directory(data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns where prepared sets live: `data_dir`, else TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return files.home_expanded(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def prepared(name: str, data_dir: str | os.PathLike[str] | None = None) -> Any:
    """The TFDS builder of a prepared set, made from its files alone: nothing is looked up on the network.

    Args:
        name: as TFDS says it, `NAME`, `NAME/CONFIG` or `NAME:VERSION`.
        data_dir: as for `directory`.

    Raises:
        FileNotFoundError: when it is known but not prepared, with the command that prepares it.
        ValueError: when no set has that name, or the prepared one cannot be read without TensorFlow.
    """
    from tensorflow_datasets.core import read_only_builder, registered

    if not _NAME.fullmatch(name):
        raise ValueError(f"tfds: {name!r} is not a name such as mnist, NAME/CONFIG or NAME:VERSION")
    root = directory(data_dir)
    try:
        files.check_folder(root / re.split("[/:]", name)[0])  # or TFDS would wait for a named pipe for ever
        builder = read_only_builder.builder_from_files(name, data_dir=str(root))
    except registered.DatasetNotFoundError:
        raise FileNotFoundError(_not_prepared(name, data_dir)) from None
    except Exception as error:  # a damaged features.json makes TFDS raise nearly anything
        raise ValueError(f"tfds:{name} in {root} cannot be read: {one_line(error)}") from None
    formats = {kind.value for kind in builder.info.available_file_formats()}
    if formats and "array_record" not in formats:
        held = ", ".join(sorted(formats))
        raise ValueError(f"tfds:{name} is prepared as {held} in {directory(data_dir)}, but only array_record can be read")
    if not builder.info.splits:
        raise FileNotFoundError(_not_prepared(name, data_dir))
    return builder


def source(
    name: str,
    *,
    split: str,
    image_size: int | None,
    channels: int | None,
    data_dir: str | os.PathLike[str] | None,
    cache_dir: str | os.PathLike[str] | None,
    way: str = "crop",
) -> Source:
    """The images of one split of a prepared set; those of a set of float32 or uint16 keep their numbers.

    Args:
        name: as for `prepared`.
        split: as TFDS says it, `train`, `test`, `train[:10%]`, `train+test`.
        image_size: side to fit to; None keeps the set's own.
        channels: 1, 3 or 4; None keeps the set's own.
        data_dir: as for `directory`.
        cache_dir: as for `cache.directory`.
        way: in which an image that is no square fits, see `fit.picture`.

    Raises:
        FileNotFoundError: when the set is not prepared.
        ValueError: when it has no such split or no images, or they have several sizes and `image_size` is None.
    """
    builder = prepared(name, data_dir)
    image_key, label_key = _keys(name, builder.info)
    size = _split_size(name, builder.info, split)
    native = tuple(builder.info.features[image_key].shape)
    shape = _shape(name, native, image_size, channels)
    class_names = tuple(builder.info.features[label_key].names or ()) if label_key else ()
    records = _records(builder, split, image_key)
    dtype = np.dtype(builder.info.features[image_key].np_dtype)
    if dtype != np.uint8:
        _check_numbers(name, dtype, native, image_size, channels)
        picture = functools.partial(_numbers, dtype=dtype)
    else:
        picture = functools.partial(_picture, native=native, image_size=image_size, channels=shape[-1], way=way)

    def read(numbers: np.ndarray) -> Arrays:
        try:
            examples = records.__getitems__(numbers.tolist())
            images = [picture(example[image_key]) for example in examples]
        except Exception as error:  # Array Record, protocol buffers and Pillow each have their own
            raise ValueError(f"tfds:{name}: {builder.data_path} cannot be read: {one_line(error)}") from None
        labels = [example[label_key] if class_names else 0 for example in examples]
        return np.stack(images), np.array(labels, np.int32)

    def decode() -> Arrays:
        _log.info("tfds:%s: decoding %d images of %s, once", name, size, split)
        images, labels = np.empty((size, *shape), dtype), np.empty(size, np.int32)
        for start in range(0, size, _CHUNK):
            part = slice(start, min(start + _CHUNK, size))
            images[part], labels[part] = read(np.arange(part.start, part.stop))
        return images, labels

    def everything() -> Arrays:
        resized = "x".join(map(str, shape))
        safe = re.sub(r"[^\w.-]", lambda found: f"%{ord(found[0]):02X}", split)
        kind = ("" if dtype == np.uint8 else f"-{dtype}") + ("" if way == "crop" else f"-{way}")
        folder = cache.directory(cache_dir) / "arrays" / builder.info.full_name / f"{safe}-{resized}{kind}"
        return cache.arrays(folder, fingerprint(Path(builder.data_path)), decode)

    files_ = sorted(path.name for path in Path(builder.data_path).iterdir())
    about = facts.of_files(f"tfds:{name}", Path(builder.data_path), files_, ())
    return Source(f"tfds:{name}", split, size, shape, class_names, read, everything, dtype.name, "", about)


def one_line(error: BaseException) -> str:
    """Returns what went wrong, in one line: TFDS's messages run over hundreds."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _not_prepared(name: str, data_dir: str | os.PathLike[str] | None) -> str:
    import tensorflow_datasets as tfds

    plain, builders = re.split("[/:]", name)[0], tfds.list_builders(with_community_datasets=False)
    if plain not in (*builders, "digits"):
        raise ValueError(f"tfds: no image set is called {plain!r}{did_you_mean(plain, builders)}")
    where = str(directory(data_dir))
    home = str(Path.home())
    where = "~" + where.removeprefix(home) if where.startswith(home + os.sep) else where
    return f"tfds:{name} is not prepared in {where}: run `jaxgan data prepare {name}`"


def _keys(name: str, info: Any) -> tuple[str, str | None]:
    """The features that hold the image and, if there is one, the class."""
    import tensorflow_datasets as tfds

    features = info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise ValueError(f"tfds:{name} holds no images")
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]
    classes = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if not images:
        raise ValueError(f"tfds:{name} holds no images, only {', '.join(features)}")
    supervised = info.supervised_keys or ()
    image = next((key for key in ("image", *supervised) if key in images), images[0])
    return image, next((key for key in ("label", *supervised) if key in classes), None)


def _split_size(name: str, info: Any, split: str) -> int:
    try:
        size = int(info.splits[split].num_examples)
    except Exception:  # KeyError, ValueError and AssertionError, each with its own long text
        raise FieldError("split", shown(split), f"tfds:{name} has {', '.join(info.splits)}") from None
    if size == 0:
        raise FieldError("split", shown(split), f"that of tfds:{name} holds no images")
    return size


def _shape(name: str, native: tuple[int | None, ...], image_size: int | None, channels: int | None) -> tuple[int, int, int]:
    height, width, depth = native
    if image_size is None and (height is None or width is None):
        raise FieldError("image_size", None, f"tfds:{name} holds images of several sizes; give one")
    return image_size or height or 0, image_size or width or 0, channels or depth or 3


def _records(builder: Any, split: str, image_key: str) -> Any:
    import tensorflow_datasets as tfds

    images = {key for key, feature in builder.info.features.items() if isinstance(feature, tfds.features.Image)}
    skipped = {key: tfds.decode.SkipDecoding() for key in {*images, image_key}}
    # Left encoded: TFDS asks for OpenCV, and then decodes every feature, wanted or not.
    return builder.as_data_source(split, decoders=skipped)


def _picture(encoded: bytes, native: tuple[int | None, ...], image_size: int | None, channels: int, way: str) -> np.ndarray:
    with pictures.opened(encoded) as image:
        if image_size == 32 and native[:2] == (28, 28):
            return fit.arrays(fit.picture(image, None, channels)[None], 32, channels)[0]
        return fit.picture(image, image_size, channels, way=way)


def _check_numbers(
    name: str, dtype: np.dtype, native: tuple[int | None, ...], image_size: int | None, channels: int | None
) -> None:
    if image_size is not None or channels not in (None, native[-1]):
        raise FieldError("image_size", image_size, f"the images of tfds:{name} are {dtype} and keep their shape")
    if native[-1] != 1:
        raise ValueError(f"tfds:{name}: its images are {dtype} with {native[-1]} channels, but only one can be read")


def _numbers(encoded: bytes, dtype: np.dtype) -> np.ndarray:
    """Returns an image of other numbers than bytes, `[H, W, 1]`; of float32 the file holds the four bytes as RGBA."""
    with pictures.opened(encoded) as image:
        pixels = np.asarray(image)
    if dtype == np.float32:
        return np.ascontiguousarray(pixels).view(np.float32)
    return pixels.astype(dtype)[..., None]


def fingerprint(folder: Path) -> str:
    """Changes whenever the set is prepared anew."""
    seen = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir())
    return f"{zlib.crc32(repr(seen).encode()):08x}"
