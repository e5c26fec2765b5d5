"""The model card of a hub's folder: front matter, picture, code to run, data, figures with their definitions and floors."""

import json
from collections.abc import Iterator
from typing import Any

from jaxgan.publishing.product import Product
from jaxgan.system import versions
from jaxgan.training.sampler import Generator
from jaxgan.weights.portable import WINDOW, listed

_MOST = 20  # classes named in the text


def of(product: Product, *, license_id: str | None, evaluation: dict[str, Any] | None) -> str:
    """Returns README.md.

    Args:
        product: the generator.
        license_id: an identifier of the hub; None where none was stated.
        evaluation: the run's `evaluation.json`; None where it has none.
    """
    generator, recipe = product.generator, product.recipe
    parts = [
        _front(generator, license_id),
        f"# {subject(product)} GAN",
        f"A generative adversarial network of {_samples(generator)}, trained by jaxgan {versions.of('jaxgan')}. "
        "The file holds the averaged generator.",
        "![samples](samples.png)",
        "## Run it",
        "With jax, numpy and flatbuffers only:",
        "```bash\npip install jax numpy flatbuffers\npython sample.py --n 16 --seed 0\n```",
        "```python\nimport portable\n\nsampler = portable.load('generator.jaxgan')\n"
        f"samples = sampler(n=16, seed=0{', labels=' + repr(_label(generator)) if generator.about.classes else ''})\n```",
        f"A `.jaxgan` file is {WINDOW}. `model.safetensors` has no such window: `jaxgan.load_sampler('model.safetensors')`.",
        "## Data",
        _data(product),
        "## Figures",
        *_figures(evaluation, product.step),
        "## Training",
        f"{product.step:,} steps of {recipe['batch_size']} samples; `recipe.json` holds every setting, and the versions used.",
        "## Licence",
        f"`{license_id}`." if license_id else "None was stated by whoever published this folder.",
    ]
    return "\n\n".join(parts) + "\n"


def subject(product: Product) -> str:
    """Returns the name of the data alone: `cifar10` of `tfds:cifar10`, `faces` of `npz:faces.npz`, `mine` of `my.py:mine`."""
    name = product.data.rpartition(":")[2]
    return name.removesuffix(".npz").removesuffix(".zip") or "jaxgan"


def _front(generator: Generator, license_id: str | None) -> str:
    lines = ["---", *([f"license: {json.dumps(license_id)}"] if license_id else []), "library_name: jaxgan"]
    if _is_picture(generator):
        lines.append("pipeline_tag: unconditional-image-generation")
    return "\n".join([*lines, "tags:", *(f"- {tag}" for tag in ("gan", "generative-adversarial-network", "jax")), "---"])


def _is_picture(generator: Generator) -> bool:
    return len(generator.about.shape) == 3 and generator.about.shape[-1] in (1, 3, 4)


def _samples(generator: Generator) -> str:
    shape = " x ".join(map(str, generator.about.shape))
    kind = "images" if _is_picture(generator) else "samples"
    return f"{kind} of {shape}" + (f" in {generator.about.classes} classes" if generator.about.classes else "")


def _label(generator: Generator) -> int | str:
    names = generator.about.class_names
    return names[0] if names and not names[0].isdigit() else generator.about.numbers[0]


def _data(product: Product) -> str:
    data, names = product.recipe["data"], product.generator.about.class_names
    split = data.get("split") if isinstance(data, dict) else None
    told = f"`{product.data}`, split `{split}`." if split else f"`{product.data}`."
    if names:
        told += f" Classes: {listed(names[:_MOST])}{f' and {len(names) - _MOST} more' if len(names) > _MOST else ''}."
    return told + " The data's own terms and biases carry over to what is drawn from them."


def _figures(evaluation: dict[str, Any] | None, step: int) -> Iterator[str]:
    values = (evaluation or {}).get("values")
    if evaluation is None or not isinstance(values, dict) or not values:
        yield "No evaluation was made of this run."
        return
    of = evaluation.get("step")
    yield f"Of step {of:,}." if of == step else f"Of step {of}; the weights here are of step {step:,}."
    rows = ["| figure | value | real data in its place | better |", "|---|---|---|---|"]
    rows += [
        f"| {_title(name, each)} | {_number(each.get('mean'))} | {_floors(each)} | {each.get('better', '')} |"
        for name, each in values.items()
    ]
    yield "\n".join(rows)
    defined: dict[str, list[str]] = {}
    for name, each in values.items():
        defined.setdefault(str(each.get("definition", "no definition is recorded")), []).append(_title(name, each))
    yield "\n".join(f"- {', '.join(names)}: {words}." for words, names in defined.items())


def _title(name: str, value: dict[str, Any]) -> str:
    return str(value.get("title") or name).replace("|", "/")


def _floors(value: dict[str, Any]) -> str:
    found = [f"{_number(each.get('value'))} ({each.get('words', '')})" for each in value.get("floors", [])]
    return "; ".join(found).replace("|", "/")


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "not finite" if value is None else str(value)
