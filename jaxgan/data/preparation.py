"""Preparing sets as TFDS array_record files, without TensorFlow where that is possible."""

import contextlib
import importlib.util
import io
import logging
import os
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.data import originals, tfds
from jaxgan.data.source import Arrays
from jaxgan.system import files
from jaxgan.system.messages import did_you_mean

_log = logging.getLogger("jaxgan")
_ORIGINALS = ("mnist", "fashion_mnist", "cifar10")
_Examples = Iterator[tuple[int, dict[str, Any]]]


class Unwritable(ValueError):
    """The folder of prepared sets cannot be written."""

    def __init__(self, root: Path, cause: str) -> None:
        super().__init__(f"data_dir: cannot write {root}: {cause}")
        self.cause = cause


def prepare(name: str, *, source: str | os.PathLike[str] | None = None, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Prepares a data set for reading; one that is prepared already is left as it is.

    mnist, fashion_mnist and cifar10 come from `source` or the network, digits from scikit-learn; the records are those
    that TFDS's own builder writes, same name, version, features and order. They are made in a temporary folder and moved
    when they are whole. Any other set is left to TFDS, which needs TensorFlow to prepare it.

    Args:
        name: `NAME` or `tfds:NAME`; `stacked_mnist` stands for mnist.
        source: a folder with the original files (IDX, packed or not; cifar-10-binary.tar.gz or cifar-10-batches-bin).
        data_dir: as for `tfds.directory`.

    Returns:
        The folder of the prepared set.

    Raises:
        FileNotFoundError: one line with the original file that is missing.
        ValueError: one line with what is damaged, unknown or cannot be reached.
    """
    import tensorflow_datasets

    name = name.removeprefix("tfds:")
    name = "mnist" if name == "stacked_mnist" else name
    root = tfds.directory(data_dir)
    with contextlib.suppress(FileNotFoundError):
        found = Path(tfds.prepared(name, root).data_path)
        _log.debug("tfds:%s is prepared in %s already", name, found)
        return found
    if source is not None and name not in _ORIGINALS:
        raise ValueError(f"source: {source}, but only {', '.join(_ORIGINALS)} can be prepared from original files")
    if name == "digits":
        return _written(_digits(), root)
    if name not in _ORIGINALS:
        return _by_tensorflow(name, root)
    stock = tensorflow_datasets.builder_cls(name)
    recorded = {
        os.path.basename(url): originals.Recorded(url, int(info.size), info.checksum) for url, info in stock.url_infos.items()
    }
    if source is not None:
        original = originals.read(name, files.home_expanded(source), recorded)
    else:
        with files.scratch(root) as folder:
            originals.download(recorded, folder)
            original = originals.read(name, folder, recorded)
    return _written(_encoded(stock, original), root)


def _encoded(stock: Any, original: originals.Original) -> Any:
    """TFDS's builder, fed with encoded images: its own generators and extractors need TensorFlow."""

    def split_generators(builder: Any, _: Any) -> dict[str, _Examples]:
        if original.class_names:
            builder.info.features["label"].names = list(original.class_names)
        with_id = "id" in builder.info.features
        return {split: _examples(arrays, split, with_id) for split, arrays in original.splits.items()}

    return _builder(stock, name=stock.name, _split_generators=split_generators)


def _builder(base: Any, **body: Any) -> Any:
    """A TFDS builder class that stays out of TFDS's catalogue."""
    body["__module__"] = __name__
    return types.new_class(body["name"], (base,), {"skip_registration": True}, lambda space: space.update(body))


def _examples(arrays: Arrays, split: str, with_id: bool = False) -> _Examples:
    for index, (image, label) in enumerate(zip(*arrays, strict=True)):
        example = {"image": _png(image), "label": int(label)}
        yield index, example | ({"id": f"{split}_{index:05d}"} if with_id else {})


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def _digits() -> Any:
    """A builder of scikit-learn's 1,797 handwritten digits, 8x8 (the test set of Alpaydin and Kaynak 1998, UCI).

    Their 17 grey levels v become round(255 v / 16), so that a network sees v / 8 - 1 to within 1 / 255.
    """
    import tensorflow_datasets

    def info(builder: Any) -> Any:
        features = tensorflow_datasets.features
        return tensorflow_datasets.core.DatasetInfo(
            builder=builder,
            description="Handwritten digits of 8x8 pixels, as bundled with scikit-learn.",
            features=features.FeaturesDict(
                {"image": features.Image(shape=(8, 8, 1)), "label": features.ClassLabel(num_classes=10)}
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        )

    def examples(_: Any) -> _Examples:
        from sklearn.datasets import load_digits

        levels, labels = load_digits(return_X_y=True)
        images = np.round(levels.reshape(-1, 8, 8, 1) * 255 / 16).astype(np.uint8)
        return _examples((images, labels), "train")

    return _builder(
        tensorflow_datasets.core.GeneratorBasedBuilder,
        name="digits",
        VERSION=tensorflow_datasets.core.Version("1.0.0"),
        _info=info,
        _split_generators=lambda builder, _: {"train": examples(builder)},
        _generate_examples=examples,
    )


def _written(builder_class: Any, root: Path) -> Path:
    """Writes all records in a temporary folder, then moves them where they belong."""
    import tensorflow_datasets

    tensorflow_datasets.disable_progress_bar()
    try:
        with files.scratch(root) as folder:
            builder = builder_class(data_dir=str(folder), file_format="array_record")
            # Its own download folder: TFDS confuses two sets whose files have the same names.
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(download_dir=os.path.join(folder, "downloads"))
            made = Path(builder.data_path)
            final = root / made.relative_to(folder)
            _moved(made, final, builder.name, root)
    except OSError as error:
        raise Unwritable(root, files.told(error)) from None
    return final


def _moved(made: Path, final: Path, name: str, root: Path) -> None:
    try:
        files.place(made, final)
    except OSError:
        # Another process may have been first; anything else in that place is not ours to remove.
        with contextlib.suppress(FileNotFoundError):
            tfds.prepared(name, root)
            return
        raise ValueError(f"{final} is in the way and holds no prepared set: move it elsewhere") from None


def _by_tensorflow(name: str, root: Path) -> Path:
    import tensorflow_datasets

    names, plain = tensorflow_datasets.list_builders(with_community_datasets=False), re.split("[/:]", name)[0]
    if plain not in names:
        raise ValueError(f"tfds: no image set is called {plain!r}{did_you_mean(plain, [*names, *_ORIGINALS, 'digits'])}")
    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError(f"tfds:{name} needs TensorFlow to be prepared; without it: {', '.join(_ORIGINALS)}, digits")
    try:
        builder = tensorflow_datasets.builder(name, data_dir=str(root), file_format="array_record")
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
    except Exception as error:  # downloads, extractors and parsers of hundreds of sets
        raise ValueError(f"tfds:{name} cannot be prepared: {tfds.one_line(error)}") from None
    return Path(builder.data_path)
