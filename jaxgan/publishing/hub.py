"""A folder for the Hugging Face hub: weights, a card, and code that draws from them without this library; nothing pickled.

`model.safetensors` and its sha256, `generator.jaxgan`, `README.md` (the card), `samples.png`, `sample.py` beside a copy of
`portable.py`, `recipe.json`, and `evaluation.json` where the run has one.
"""

import json
import re
from collections.abc import Iterable
from importlib.resources import files as resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import jax

from jaxgan.publishing import card, folder
from jaxgan.publishing.product import Product, Wish, log
from jaxgan.recipes import record
from jaxgan.system import files
from jaxgan.system.messages import FieldError
from jaxgan.training import exported
from jaxgan.training import tensors as weights
from jaxgan.training.sampler import as_png, sampler
from jaxgan.weights import portable

_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_LICENSE = re.compile(r"^[a-z0-9][a-z0-9.+-]{0,63}$")
_LARGE = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.jaxgan filter=lfs diff=lfs merge=lfs -text\n"
_SHOWN = 40  # samples in the picture, of points all


class Client(Protocol):
    """Two methods of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, exist_ok: bool) -> Any:
        """Makes a repository where there is none.

        Args:
            repo_id: `OWNER/NAME`.
            exist_ok: that it may be there.
        """
        ...

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, allow_patterns: list[str]) -> Any:
        """Uploads files of a folder in one commit.

        Args:
            repo_id: `OWNER/NAME`.
            folder_path: the folder.
            commit_message: of the commit.
            allow_patterns: the files.
        """
        ...


def check(wish: Wish) -> None:
    """Refuses a licence or a repository that is none, and a push that cannot be made.

    Raises:
        FieldError: in one line.
    """
    if wish.license is not None and not _LICENSE.match(wish.license):
        raise FieldError("license", wish.license, "it must be an identifier of the hub, such as mit, apache-2.0 or cc-by-4.0")
    if wish.push is not None:
        if not _NAME.match(wish.push):
            raise FieldError("push", wish.push, "it must be OWNER/NAME")
        client(wish.push)


def client(name: str) -> Client:
    """Returns the hub's client with the user's token.

    Raises:
        FieldError: when the package or a token is missing.
    """
    if find_spec("huggingface_hub") is None:
        raise FieldError("push", name, "it needs the hub's client: pip install huggingface_hub", link=": ")
    import huggingface_hub

    if huggingface_hub.get_token() is None:
        raise FieldError("push", name, "no token was found: hf auth login, or set HF_TOKEN", link=": ")
    found: Client = huggingface_hub.HfApi()
    return found


def write(product: Product, out: Path, wish: Wish) -> Path:
    """Writes the folder, and uploads it where that was asked for.

    Args:
        product: the generator.
        out: the folder.
        wish: with the licence and the repository to push to.

    Returns:
        The folder.

    Raises:
        FieldError: when the generator cannot be exported, or the upload fails; the folder is there then.
    """
    contents = _contents(product, wish)
    folder.write(out, contents, overwrite=wish.overwrite)
    if wish.push is not None:
        push(out, wish.push, contents, client(wish.push))
    return out


def push(out: Path, name: str, contents: Iterable[str], to: Client) -> None:
    """Uploads a folder's files, those of these names only.

    Args:
        out: the folder.
        name: `OWNER/NAME`.
        contents: names of the files.
        to: the hub's client.

    Raises:
        FieldError: when the hub does not take it.
    """
    try:
        to.create_repo(name, exist_ok=True)
        to.upload_folder(
            repo_id=name, folder_path=str(out), commit_message="Generator, card and code", allow_patterns=sorted(contents)
        )
    except Exception as error:  # of the client's and its network's own classes
        raise FieldError("push", name, f"the hub did not take it ({files.told(error)}); {out} is whole", link=": ") from error
    log.info("pushed to https://huggingface.co/%s", name)


def _contents(product: Product, wish: Wish) -> dict[str, bytes | str]:
    run, generator = product.run, product.generator
    held = {"recipe": product.recipe, "step": product.step}
    evaluation = _evaluation(run.path)
    recipe = record.read(run.path).content | held
    draw = sampler(generator, product.weights, shown=run.shown)
    contents: dict[str, bytes | str] = {
        ".gitattributes": _LARGE,
        "README.md": card.of(product, license_id=wish.license, evaluation=evaluation),
        "generator.jaxgan": exported.to_bytes(generator, product.weights, held),
        "samples.png": as_png(draw(None if generator.about.are_points else _SHOWN), generator.density),
        "recipe.json": json.dumps(recipe, indent=2) + "\n",
        "portable.py": files.read_text(Path(portable.__file__)),
        "sample.py": files.read_text(Path(str(resources("jaxgan.publishing") / "static" / "sample.py"))),
    }
    if evaluation is not None:
        contents["evaluation.json"] = json.dumps(evaluation, indent=2) + "\n"
    return contents | _weights(product)


def _weights(product: Product) -> dict[str, bytes | str]:
    """The generator's tensors and their sha256, as `tensors.save` writes them."""
    run = product.run
    with files.scratch(files.cache_folder()) as place:
        path = place / "model.safetensors"
        own = jax.device_get(product.weights)
        about: dict[str, Any] = {"shape": run.shape, "class_names": run.class_names, "units": run.units}
        weights.save(path, generator=own, discriminator=None, recipe=product.own_recipe, **about)
        return {each.name: files.read(each) for each in sorted(place.iterdir())}


def _evaluation(run: Path) -> dict[str, Any] | None:
    try:
        found = files.read_json(run / "evaluation.json")
    except files.Missing:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("values"), dict):
        raise FieldError("run", run / "evaluation.json", "it is no evaluation; make it again with jaxgan evaluate")
    return found
