"""A folder with a page that samples in the browser: the generator as ONNX, the runtime, and nothing from the network.

Any static file server serves it, such as `python -m http.server` in the folder. `draws.mjs` draws the library's own
latents, so image i of a seed is the sampler's. Directions of z that were saved beside the run get a slider each.
"""

import html
import json
from importlib.resources import files as resources
from pathlib import Path
from string import Template
from typing import Any

import jax

from jaxgan.core import latents
from jaxgan.latent import kept
from jaxgan.publishing import folder, onnx_file, runtime
from jaxgan.publishing.graph import BATCH
from jaxgan.publishing.product import Product, Wish, log, onnx_bytes
from jaxgan.system import files, versions
from jaxgan.system.messages import FieldError
from jaxgan.training.sampler import Generator

_LATENTS: dict[Any, str] = {
    latents.normal: "normal",
    jax.random.normal: "normal",
    latents.uniform: "uniform",
    latents.sphere: "sphere",
}
_MOST_SLIDERS = 16
_STATIC = ("page.mjs", "draws.mjs", "start.js", "page.css")


def write(product: Product, out: Path, wish: Wish) -> Path:
    """Writes the folder of a page.

    Args:
        product: the generator.
        out: the folder.
        wish: with the precision of the weights and where the runtime is.

    Returns:
        The folder.

    Raises:
        FieldError: when the generator makes no pictures or takes what the page cannot ask for; when the runtime cannot be had;
            or as `onnx_file.to_bytes`.
    """
    _check(product.generator)
    found = runtime.of(wish.runtime)
    content = onnx_bytes(product, wish)
    _check_noise(content)
    contents: dict[str, bytes | str] = {name: _static(name) for name in _STATIC}
    contents |= {f"runtime/{name}": each for name, each in found.contents.items()}
    contents["model.onnx"] = content
    contents["index.html"] = _index(product, content)
    sums = {name: files.sha256(each.encode() if isinstance(each, str) else each) for name, each in sorted(contents.items())}
    record = {"runtime": {"package": runtime.PACKAGE, "version": found.version, "license": "MIT"}, "sha256": sums}
    contents["files.json"] = json.dumps(record, indent=2) + "\n"
    folder.write(out, contents, overwrite=wish.overwrite)
    log.info("see it: python -m http.server --directory %s 8000, then http://localhost:8000", out)
    return out


def _check(generator: Generator) -> None:
    shape, told = generator.about.shape, "the page draws pictures of 1, 3 or 4 channels"
    if len(shape) != 3 or shape[2] not in (1, 3, 4):
        raise FieldError("form", f"page, of samples {list(shape)}", f"{told}; write .onnx instead")
    if generator.shape.condition is not None:
        raise FieldError("form", "page, of a generator with a condition", "the page asks for classes only; write .onnx instead")
    if generator.latent not in _LATENTS:
        raise FieldError(
            "form",
            "page, of latents of a distribution of your own",
            f"it draws {', '.join(dict.fromkeys(_LATENTS.values()))} ones",
        )


def _check_noise(content: bytes) -> None:
    sides = [side for each in onnx_file.about_of(content)["noise"] for side in each["shape"]]
    if odd := [side for side in sides if not isinstance(side, int) and side != BATCH]:
        raise FieldError("form", f"page, of a generator that draws {odd[0]} numbers", "the page draws as many for each picture")


def _static(name: str) -> str:
    return files.read_text(Path(str(resources("jaxgan.publishing") / "static" / name)))


def _directions(product: Product) -> list[dict[str, Any]]:
    """Returns the directions of z beside the run, by name and number; those that cannot be read are left out with a line."""
    found = []
    for name in kept.names(product.run.path):
        try:
            each = kept.read(product.run.path, name)
        except FieldError as error:
            log.warning("page: left out: %s", error)
            continue
        if each.space == "z" and each.vectors.shape[1] == product.generator.latent_dim:
            vectors = each.vectors.astype(float).round(5).tolist()
            found += [{"name": f"{name}:{i}", "vector": vector} for i, vector in enumerate(vectors, 1)]
    return found[:_MOST_SLIDERS]


def _index(product: Product, content: bytes) -> str:
    generator = product.generator
    told = onnx_file.about_of(content)
    low, high = (told["generator"]["units"] or [None, [0.0], [255.0]])[1:3]
    about: dict[str, Any] = {
        "shape": generator.about.shape,
        "classes": list(generator.about.class_names) or [str(i) for i in range(generator.about.classes)],
        "latent": _LATENTS[generator.latent],
        "latentLength": generator.latent_dim,
        "low": low or [0.0],
        "high": high or [255.0],
        "noise": told["noise"],
        "directions": _directions(product),
        "runtime": runtime.SCRIPT,
    }
    height, width = generator.about.shape[:2]
    title = f"Generated {product.data}"
    words = {
        "title": html.escape(title),
        "description": f"A generative adversarial network draws pictures of {height} x {width} pixels, in this browser. "
        "No data leave it.",
        "megabytes": f"{len(content) / 1e6:.1f}",
        # Within a script element only its end must be kept from showing.
        "about": json.dumps(about).replace("<", "\\u003c"),
        "footer": html.escape(
            f"Trained on {product.data} for {product.step:,} steps with jaxgan {versions.of('jaxgan')}. "
            "Picture i of a seed is the one that jaxgan sample draws."
        ),
    }
    return Template(_static("index.html")).substitute(words)
