"""A generator to hold and to serve, and the `.jaxgan` file that holds one. A copy of this file alone reads such files:

    import portable
    sampler = portable.load("digits.jaxgan")
    samples = sampler(n=16, seed=0, labels=3)   # samples.images [16, H, W, C], samples.labels int32 [16]

It imports NumPy, and JAX (which needs the package flatbuffers for it) once a file is loaded; nothing else of this library.
A `.jaxgan` file holds StableHLO programs of `jax.export` for CPU, CUDA and TPU, and the weights. JAX promises to read such
programs for 6 months after the version that wrote them, often longer, and never with a JAX older than that; `.safetensors`
has no such window. Its layout: 8 bytes of magic, the sha256 of all that follows, the length of the header as 8 bytes, little
endian, the header in JSON, the programs, the weights.
"""

import difflib
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"jaxgan\x00\x01"
FORMAT = 1
SIZES = (1, 8, 64)  # of batches; each is compiled once
PROGRAMS = ("latents", "images", "truncated")
WINDOW = "read by the version of JAX that wrote it and by newer ones for 6 months at least, never by older ones"
_MOST, _SEEDS, _HEADER = 10_000_000, 2**32, 2**24
_NAMED = 10  # classes named in a message


_FLOAT32 = float(np.finfo(np.float32).max)


class About(NamedTuple):
    """Facts about a generator, without its weights."""

    shape: tuple[int, ...]  # of one sample: (H, W, C), or (F,) for points
    classes: int  # 0 when it is unconditional
    class_names: tuple[str, ...]
    latent_dim: int
    latent_dtype: str
    mapped: bool  # it maps z to styles first, which is where it is truncated
    # The dtype of the user's samples, and for all channels or each the values that the generator makes -1 and 1; None for
    # bytes of pictures, and for anything else as it is made. Words of theirs follow, for axes: the unit, and names of columns.
    units: tuple[Any, ...] | None = None
    # The form of one sample's condition, `(dtype, shape)` or dicts of such; None where it takes classes or nothing.
    condition: Any = None

    @property
    def numbers(self) -> list[int]:
        """The number by which each class is asked for."""
        return numbers(self.class_names) if self.class_names else list(range(self.classes))

    @property
    def are_points(self) -> bool:
        """True of vectors of up to two numbers, which are points in the plane."""
        return len(self.shape) == 1 and self.shape[0] <= 2


class Functions(NamedTuple):
    """A generator as functions of arrays; the weights are inside."""

    latents: Callable[[int, np.ndarray], Any]  # (seed, indices [B] int32) -> z [B, D]
    images: Callable[
        [int, Any, Any, float | None], Any
    ]  # (seed, z, labels [B] int32 or conditions, psi) -> samples [B, *shape]


@dataclass(frozen=True, eq=False)
class Samples(np.lib.mixins.NDArrayOperatorsMixin):
    """Samples with their classes: an array in all that it does, and a picture in a notebook.

    Attributes:
        images: `[N, ...]` in the dtype and units of the data, uint8 `[N, H, W, C]` of pictures in 8 bits.
        labels: int32 `[N]`, the numbers by which classes are asked for; zeros where there are no classes.
        about: the generator that made them.
        condition: of each sample, an array `[N, ...]` or dicts of such; None where the generator takes none.
    """

    images: np.ndarray
    labels: np.ndarray
    about: About
    draw: Callable[["Samples"], bytes] | None = None  # a picture of them, as PNG
    condition: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `images`."""
        return self.images.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of `images`."""
        return self.images.dtype

    @property
    def names(self) -> list[str]:
        """Name of each sample's class, its number where it has none; empty strings where there are no classes."""
        names = dict(zip(self.about.numbers, self.about.class_names, strict=False))
        return [names.get(int(label), "") for label in self.labels]

    def part(self, index: Any) -> "Samples":
        """Returns some of the samples, by a slice or their numbers."""
        given = None if self.condition is None else _parts(self.condition, index)
        return Samples(self.images[index], self.labels[index], self.about, self.draw, given)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        """Returns images as NumPy indexes them."""
        return self.images[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.images)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns `images`, as `np.asarray` asks for them."""
        return np.array(self.images, dtype) if copy else np.asarray(self.images, dtype)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Computes with `images`, so that arithmetic and comparison are an array's."""
        arrays = (each.images if isinstance(each, Samples) else each for each in inputs)
        return getattr(function, method)(*arrays, **options)

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of `images`, such as `mean` or `reshape`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.images, name)

    def __repr__(self) -> str:
        """Says what they are instead of printing every number."""
        of = f", of {', '.join(list(dict.fromkeys(self.names))[:10])}" if self.about.class_names else ""
        return f"Samples({self.dtype} {list(self.shape)}{of})"

    def _repr_png_(self) -> bytes | None:
        """Shows a notebook the picture."""
        return None if self.draw is None else self.draw(self)


@dataclass(frozen=True, eq=False)
class Sampler:
    """An averaged generator, ready to draw: `sampler(n=16, seed=0, labels=3)`. Threads may share it.

    Sample i of a seed depends on the seed, its class and i only, whatever the number drawn. Batches are filled up to one of
    `sizes`, so that no more programs than those are compiled.
    """

    functions: Functions
    about: About
    sizes: tuple[int, ...] = SIZES
    draw: Callable[[Samples], bytes] | None = None
    shown: Any = None  # conditions that are drawn of where no others are given

    def __call__(
        self,
        n: int | None = None,
        seed: int = 0,
        labels: Any = None,
        z: Any = None,
        truncation: float | None = None,
        condition: Any = None,
    ) -> Samples:
        """Draws samples.

        Args:
            n: number of samples; by default 16, of points 2,500, or as many as z are given.
            seed: of the latents and of noise within the generator, 0 to 2^32 - 1.
            labels: a class by number or name, or a sequence of such that is repeated in turn; by default each class in turn.
            z: latents `[N, D]` to map instead of those of the seed.
            truncation: psi. Of a generator with a mapping, the share of a style's way from the mean style, 0 to 2, 1 for none;
                of another, the threshold of z in standard deviations, above 0.
            condition: of a generator that takes one: an array `[M, ...]`, or a dict of such, repeated in turn; n is M by
                default. A run has those of its pictures where none is given.

        Returns:
            `Samples`, on the host.

        Raises:
            ValueError: one line, when an argument is not allowed; nothing is computed then.
        """
        z = None if z is None else self._checked_latents(z)
        points, given = self.about.are_points, self._checked_condition(condition, labels)
        usual = len(z) if z is not None else _count(given) if condition is not None else 2_500 if points else 16
        n = _whole("n", usual if n is None else n, 1, _MOST)
        if z is not None and n != len(z):
            raise ValueError(f"n: {n}, but z holds {len(z)} latents")
        seed = _whole("seed", seed, 0, _SEEDS - 1)
        chosen = np.resize(np.asarray(self.conditions(labels), np.int32), n)
        given = None if given is None else _taken(given, np.arange(n))
        self.check_truncation(truncation)
        if truncation is not None and truncation > _FLOAT32:
            truncation = math.inf  # this bound would overflow with a warning, and cuts nothing off
        images = np.concatenate(
            [leaving(each, self.about) for each in self._batches(n, seed, chosen if given is None else given, z, truncation)]
        )
        shown = np.array(self.about.numbers, np.int32)[chosen] if self.about.classes else chosen
        return Samples(images, shown, self.about, self.draw, given)

    def __repr__(self) -> str:
        """Says what it draws."""
        of = f", {self.about.classes} classes" if self.about.classes else ""
        return f"Sampler({'x'.join(map(str, self.about.shape))}{of}, z of {self.about.latent_dim})"

    def conditions(self, labels: Any) -> list[int]:
        """Returns the places of the classes that labels mean; `[0]` where there are none.

        Args:
            labels: as for a call. A text is a name first, a number where no class has that name, or several, with commas.

        Raises:
            ValueError: when one is no class, with those that there are.
        """
        classes = self.about.classes
        if labels is None:
            return list(range(classes)) if classes else [0]
        given = [labels] if isinstance(labels, (str, bytes)) or np.ndim(labels) == 0 else list(labels)
        if not classes:
            raise ValueError(f"labels: {' '.join(map(str, given))}, but the generator is unconditional and takes none")
        if not given or np.ndim(np.asarray(given, object)) != 1:
            raise ValueError(f"labels: of shape {list(np.shape(labels))}, but they must be one class or a sequence of them")
        return [number for label in given for number in self._numbers(label)]

    def check_truncation(self, psi: float | None) -> None:
        """Refuses a truncation that this generator does not have.

        Raises:
            ValueError: in one line.
        """
        if psi is None:
            return
        if isinstance(psi, bool) or not isinstance(psi, (int, float, np.number)):
            raise ValueError(f"truncation: {psi!r}, but it must be a number")
        if self.about.mapped and not 0.0 <= psi <= 2.0:
            raise ValueError(f"truncation: {psi}, but of styles it must be from 0 to 2; 1 for none")
        if not self.about.mapped and not np.issubdtype(self.about.latent_dtype, np.floating):
            raise ValueError(f"truncation: {psi}, but latents of {self.about.latent_dtype} have no threshold")
        if not self.about.mapped and not psi > 0.0:
            raise ValueError(f"truncation: {psi}, but as a threshold of z it must be above 0; inf for none")

    def _checked_condition(self, condition: Any, labels: Any) -> Any:
        form = self.about.condition
        if form is None:
            if condition is not None:
                raise ValueError(
                    "condition: given, but the generator takes none; it has classes"
                    if self.about.classes
                    else "condition: given, but the generator takes none"
                )
            return None
        if labels is not None:
            raise ValueError("labels: given, but the generator takes a condition and no classes")
        if condition is None and self.shown is None:
            raise ValueError(f"condition: none given, but the generator needs one, {_form_words(form)}")
        return _fitted(self.shown if condition is None else condition, form)

    def _numbers(self, label: Any) -> list[int]:
        names = self.about.class_names
        text = label if isinstance(label, str) else None
        if text is not None and text in names:
            return [names.index(text)]
        if text is not None and "," in text:
            return [number for part in text.split(",") if part.strip() for number in self._numbers(part.strip())]
        number = int(text) if text is not None and text.lstrip("-").isdecimal() else label
        asked = self.about.numbers
        if isinstance(number, (int, np.integer)) and not isinstance(number, bool) and number in asked:
            return [asked.index(int(number))]
        allowed = f"the classes are {listed(names or list(map(str, asked)))}"
        small = {name.lower(): name for name in names}
        near = [] if (text or "").isdecimal() else difflib.get_close_matches((text or "").lower(), small, n=1)
        raise ValueError(f"labels: {label}, but {allowed}" + (f"; did you mean {small[near[0]]!r}?" if near else ""))

    def _checked_latents(self, z: Any) -> np.ndarray:
        try:
            found = np.asarray(z).astype(self.about.latent_dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"z: {type(z).__name__}, but it must be an array of numbers") from error
        if found.ndim != 2 or found.shape[1] != self.about.latent_dim or not len(found):
            raise ValueError(f"z: of shape {list(found.shape)}, but it must be [N, {self.about.latent_dim}] with N at least 1")
        if not np.isfinite(found.astype(np.float64)).all():
            raise ValueError("z: it holds values that are not finite")
        return found

    def _batches(self, n: int, seed: int, labels: Any, z: np.ndarray | None, truncation: float | None) -> Iterator[np.ndarray]:
        start = 0
        while start < n:
            size = fitting(n - start, self.sizes)
            index = start + np.arange(size, dtype=np.int32) % (n - start)  # filled up with samples that do not count
            latents = self.functions.latents(seed, index) if z is None else z[index]
            images = self.functions.images(seed, latents, _taken(labels, index), truncation)
            yield np.asarray(images, np.float32)[: n - start]
            start += size


def _fitted(condition: Any, form: Any, field: str = "condition") -> Any:
    """Returns a condition as arrays of the dtypes that a generator takes.

    Raises:
        ValueError: when it has another structure, shape or dtype, or is for several numbers of samples.
    """
    kind = f"a value of type {type(condition).__name__}"
    if isinstance(form, dict):
        if not isinstance(condition, dict) or set(condition) != set(form):
            given = ", ".join(map(str, condition)) if isinstance(condition, dict) else kind
            raise ValueError(f"{field}: {given or 'nothing'}, but it must be a dict of {_form_words(form)}")
        found = {name: _fitted(condition[name], form[name], f"{field}/{name}") for name in form}
        if len(counts := {_count(each) for each in found.values()}) > 1:
            raise ValueError(f"{field}: arrays for {' and '.join(map(str, sorted(counts)))} samples, but they must agree")
        return found
    dtype, shape = np.dtype(form[0]), tuple(form[1])
    try:
        array = np.asarray(condition)
    except ValueError:
        array = np.asarray(0, object)
    if array.dtype.kind not in "fiub" or array.shape[1:] != shape or array.ndim != len(shape) + 1 or not len(array):
        told = f"{array.dtype} {list(array.shape)}" if array.dtype.kind in "fiub" else kind
        raise ValueError(f"{field}: {told}, but it must be {dtype} [N{''.join(f', {side}' for side in shape)}]")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{field}: it holds values that are not finite")
    made = array.astype(dtype)
    if dtype.kind != "f" and not (made == array).all():
        raise ValueError(f"{field}: {array.dtype}, but its values must be of {dtype}")
    return made


def _taken(condition: Any, index: np.ndarray) -> Any:
    """Returns entries, counted round."""
    if isinstance(condition, dict):
        return {name: _taken(each, index) for name, each in condition.items()}
    return condition[index % len(condition)]


def _parts(condition: Any, index: Any) -> Any:
    """Returns entries by a slice or their numbers."""
    if isinstance(condition, dict):
        return {name: _parts(each, index) for name, each in condition.items()}
    return condition[index]


def _count(condition: Any) -> int:
    return _count(next(iter(condition.values()))) if isinstance(condition, dict) else len(condition)


def _form_words(form: Any) -> str:
    if isinstance(form, dict):
        return ", ".join(f"{name} ({_form_words(form[name])})" for name in sorted(form))
    return f"{np.dtype(form[0])} [N{''.join(f', {int(side)}' for side in form[1])}]"


def fitting(count: int, sizes: Sequence[int]) -> int:
    """Returns the size of the next batch for so many samples: the one that computes least that does not count.

    Args:
        count: samples still to make.
        sizes: of batches, ascending.

    Returns:
        The largest size that is filled; where none is, or more than four of it were needed, the next above.
    """
    below = [size for size in sizes if size <= count]
    above = [size for size in sizes if size >= count]
    if not below or (above and (above[0] == count or -(-count // below[-1]) > 4 or below[-1] == 1)):
        return above[0]
    return below[-1]


def sizes_up_to(most: int, multiple: int = 1) -> tuple[int, ...]:
    """Returns the sizes of batches, ascending, the largest `most`, each rounded up to a multiple of the devices."""
    return tuple(sorted({-(-size // multiple) * multiple for size in (*SIZES, most) if size <= most}))


def leaving(made: np.ndarray, about: About) -> np.ndarray:
    """Returns samples in the user's units and dtype, `low + (x + 1) (high - low) / 2`; integers are rounded, and cut off.

    Args:
        made: `[N, ...]` as the generator makes them; what is not a number becomes mid-grey of bytes.
        about: the generator.
    """
    pictures = len(about.shape) == 3 and about.shape[-1] <= 4
    dtype, low, high = (about.units or (("uint8", (0.0,), (255.0,)) if pictures else (made.dtype.name, (), ())))[:3]
    if (dtype, tuple(low), tuple(high)) == ("uint8", (0.0,), (255.0,)):
        x = np.nan_to_num(made.astype(np.float32), nan=0.0)
        return np.clip(np.rint(x * 127.5 + 127.5), 0, 255).astype(np.uint8)
    x, kind = made, np.dtype(dtype)
    if low and (set(low), set(high)) != ({-1.0}, {1.0}):
        least, most = np.asarray(low), np.asarray(high)
        x = least + (x.astype(np.float64) + 1.0) * ((most - least) / 2.0)
    if kind.kind in "iub":
        ends = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        x = np.clip(np.rint(np.nan_to_num(x.astype(np.float64))), *ends)
    return x.astype(kind)


def numbers(class_names: Sequence[str]) -> list[int]:
    """Returns the number by which each class is asked for: its name where all names are numbers, else its place from 0.

    So labels of 1 to 3 stay 1 to 3, though networks count classes from 0.
    """
    if all(name.isascii() and name.isdigit() for name in class_names):
        found = [int(name) for name in class_names]
        if len(set(found)) == len(found):
            return found
    return list(range(len(class_names)))


def listed(class_names: Sequence[str], counts: Sequence[int] = ()) -> str:
    """Returns classes in words: `0 to 9`, or `0 cat, 1 dog`; with their counts `0 cat (20), 1 dog (30)`."""
    given = numbers(class_names)
    plain = all(str(number) == name for number, name in zip(given, class_names, strict=True))
    if plain and given == list(range(len(given))) and (len(given) > 2 or not counts) and len(set(counts)) <= 1:
        return f"0 to {len(given) - 1}" + (f" ({counts[0]} each)" if counts else "")
    words = [str(number) if plain else f"{number} {_printable(name)}" for number, name in zip(given, class_names, strict=True)]
    if counts:
        words = [f"{word} ({count})" for word, count in zip(words, counts, strict=True)]
    return ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


class NotAnExport(ValueError):
    """A file is not a `.jaxgan` file that this version reads; the message is one line."""


def pack(header: dict[str, Any], programs: dict[str, bytes], weights: Sequence[np.ndarray]) -> bytes:
    """Returns the bytes of a `.jaxgan` file.

    Args:
        header: facts in JSON; `format`, `programs` and `weights` are added.
        programs: serialised by `jax.export`, by the names of `PROGRAMS`.
        weights: the first argument of each program, a list.
    """
    arrays = [np.asarray(each) for each in weights]
    sizes = {name: len(programs[name]) for name in PROGRAMS}
    table = [[each.dtype.name, list(each.shape)] for each in arrays]
    text = json.dumps({"format": FORMAT} | header | {"programs": sizes, "weights": table}, sort_keys=True).encode()
    parts = [programs[name] for name in PROGRAMS] + [each.tobytes() for each in arrays]
    body = len(text).to_bytes(8, "little") + text + b"".join(parts)
    return MAGIC + hashlib.sha256(body).digest() + body


def unpack(content: bytes, name: str = "file") -> tuple[dict[str, Any], dict[str, bytes], list[np.ndarray]]:
    """Returns header, programs and weights of a `.jaxgan` file; nothing is deserialised before the sha256 is known to be right.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        NotAnExport: when it is none, altered or cut short, or of a newer format.
    """
    if content[:6] != MAGIC[:6] or len(content) < 48:
        raise NotAnExport(f"{name}: it is no file that `jaxgan export` wrote: it must begin with the magic of .jaxgan")
    if content[:8] != MAGIC:
        newer = f"this version reads format {MAGIC[7]}"
        raise NotAnExport(f"{name}: it is a .jaxgan file of format {content[7]}, but {newer}; take a newer jaxgan")
    if hashlib.sha256(content[40:]).digest() != content[8:40]:
        raise NotAnExport(f"{name}: it is damaged, altered or cut short: its sha256 is not the one that it holds")
    length = int.from_bytes(content[40:48], "little")
    try:
        if length > min(_HEADER, len(content) - 48):
            raise ValueError("its header is longer than the file")
        header = json.JSONDecoder().decode(content[48 : 48 + length].decode())
        programs, weights, start = {}, [], 48 + length
        for key in PROGRAMS:
            size = header["programs"][key]
            programs[key], start = content[start : start + size], start + size
        for kind, shape in header["weights"]:
            count, dtype = math.prod(shape), _dtype(kind)
            size = count * dtype.itemsize
            weights.append(np.frombuffer(content[start : start + size], dtype, count).reshape(shape))
            start += size
        if start != len(content) or header["format"] != FORMAT:
            raise ValueError("programs and weights do not fill the file")
    except (ValueError, KeyError, TypeError) as error:
        raise NotAnExport(f"{name}: its header is not that of a .jaxgan file: {error}") from error
    return header, programs, weights


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes  # which JAX brings

        return np.dtype(ml_dtypes.bfloat16)
    found = np.dtype(name)
    if found.kind not in "biuf":
        raise ValueError(f"weights of {name}")
    return found


def load(path: str | os.PathLike[str]) -> Sampler:
    """Reads a `.jaxgan` file.

    Args:
        path: the file.

    Returns:
        A `Sampler`.

    Raises:
        FileNotFoundError: when there is no such file.
        NotAnExport: when it is none that this version, or this JAX on this device, can run.
    """
    return of_bytes(Path(path).read_bytes(), str(path))


def of_bytes(
    content: bytes, name: str = "file", *, batch: int = SIZES[-1], draw: Callable[[Samples], bytes] | None = None
) -> Sampler:
    """Returns the sampler that the bytes of a `.jaxgan` file hold.

    Args:
        content: of the file.
        name: of the file, for messages.
        batch: most samples made at a time; it does not change them.
        draw: makes a picture of samples, for notebooks.

    Raises:
        NotAnExport: as `load`.
    """
    header, programs, weights = unpack(content, name)
    try:
        about = about_of(header)
    except (KeyError, TypeError, ValueError) as error:
        raise NotAnExport(f"{name}: its header is not that of a .jaxgan file: {error}") from error
    return Sampler(_functions(header, programs, weights, name), about, sizes_up_to(batch), draw)


def about_of(header: dict[str, Any]) -> About:
    """Returns what a header says of its generator."""
    about = dict(header["generator"])
    shape, names = tuple(map(int, about.pop("shape"))), tuple(map(str, about.pop("class_names")))
    units = about.pop("units", None)
    if units is not None:
        words = [each if isinstance(each, str) else tuple(map(str, each)) for each in units[3:5]]  # older files lack them
        units = str(np.dtype(units[0])), tuple(map(float, units[1])), tuple(map(float, units[2])), *words
    _form_words(about.get("condition") or ["float32", []])  # refused here where it is no form
    return About(shape=shape, class_names=names, units=units, **about)


def _functions(header: dict[str, Any], programs: dict[str, bytes], weights: list[np.ndarray], name: str) -> Functions:
    try:
        import jax
        from jax import export
    except ImportError as error:
        raise NotAnExport(f"{name}: reading it needs jax: pip install jax flatbuffers") from error
    if find_spec("flatbuffers") is None:  # JAX would say so by a traceback
        raise NotAnExport(f"{name}: reading it needs flatbuffers: pip install flatbuffers")
    written, backend = header.get("versions", {}).get("jax", "unknown"), jax.default_backend()
    try:
        read = {key: export.deserialize(bytearray(program)) for key, program in programs.items()}
    except Exception as error:  # a serialisation that this JAX does not know makes it raise nearly anything
        raise NotAnExport(f"{name}: JAX {jax.__version__} cannot read what JAX {written} wrote; a file is {WINDOW}") from error
    platform = {"gpu": "cuda"}.get(backend, backend)
    if platform not in read["images"].platforms:
        there = ", ".join(read["images"].platforms)
        raise NotAnExport(f"{name}: it holds programs for {there}, but JAX runs on {platform} here")
    latents, images, truncated = (jax.jit(read[key].call) for key in PROGRAMS)
    held = jax.device_put(weights)

    def draw(seed: int, index: np.ndarray) -> Any:
        return latents(held, np.uint32(seed), index)

    def make(seed: int, z: Any, labels: Any, psi: float | None) -> Any:
        if psi is None:
            return images(held, np.uint32(seed), z, labels)
        # Of a threshold its tail as well, which keeps its digits in double precision only.
        cut = np.float32(math.erfc(psi / math.sqrt(2.0)))
        return truncated(held, np.uint32(seed), z, labels, np.float32(psi), cut)

    return Functions(draw, make)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r}, but it must be a whole number from {least:,} to {most:,}")
    return int(value)
