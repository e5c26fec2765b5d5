"""Conversion of weights with PyTorch's names into a run, which every command takes."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import recipes
from jaxgan.core.types import Dataset, GANState, PyTree
from jaxgan.nets import dcgan, r3gan, sngan, stylegan2
from jaxgan.recipes import (
    DCGAN,
    R3GAN,
    SNGAN,
    Data,
    DCGANDiscriminator,
    R3GANDiscriminator,
    Recipe,
    SNGANDiscriminator,
    StyleGAN2,
    StyleGAN2Discriminator,
)
from jaxgan.system import environment
from jaxgan.system.messages import FieldError, not_one_of
from jaxgan.training import going_on, starting, written
from jaxgan.training.checkpoint import writing
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import Experiment, build
from jaxgan.weights import torch_file
from jaxgan.weights.names import dcgan as dcgan_names
from jaxgan.weights.names import r3gan as r3gan_names
from jaxgan.weights.names import sngan as sngan_names
from jaxgan.weights.names import stylegan2 as stylegan2_names

_log = logging.getLogger(__name__)

Net = tuple[Any, PyTree, PyTree]  # module, params, stats
# Each takes the state dict of a G or of a D, and which of the two it is follows from its names.
KINDS: dict[str, Callable[..., Net]] = {
    "dcgan": dcgan_names.from_torch,
    "sngan": sngan_names.from_torch,
    "r3gan": r3gan_names.from_torch,
    "stylegan2": stylegan2_names.from_torch,
}
_GENERATORS = (dcgan.Generator, sngan.Generator, r3gan.Generator, stylegan2.Generator)


@environment.fixed()
def convert(
    file: str | Path,
    kind: str,
    out: str | Path,
    *,
    discriminator: str | Path | None = None,
    data: str = "none",
    clamp: float | None = None,
    group: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Turns weights from PyTorch into a run, to sample, interpolate, evaluate and export; nothing in the file is executed.

    Args:
        file: `.safetensors`, `.pth`, `.pt` or `.pkl` with the state dict of a generator, or with those of several networks:
            G_ema, or else G, becomes the averaged generator, and D the discriminator; names such as netG, generator, g_ema,
            D_state_dict stand for these (`torch_file.state_dicts`).
        kind: the architecture, one of `KINDS`; its sizes follow from the names and shapes.
        out: the run directory.
        discriminator: a file with the state dict of D, where `file` holds none.
        data: what the weights were trained on, as a recipe has it; needed to evaluate or to train on.
        clamp: bound of StyleGAN2's activations, 0 for none; where the file does not tell, no bound is assumed, with a warning.
        group: images whose deviation StyleGAN2's D sees together, 0 for the whole batch; where the file does not tell, 4 is
            assumed, with a warning.
        overwrite: start anew where a run is.

    Returns:
        The run directory.

    Raises:
        ValueError: when a file cannot be read or its tensors do not fit: all of them are named. Nothing is written then.
        FileNotFoundError: when it is not there.
    """
    if kind not in KINDS:
        raise not_one_of("as", kind, KINDS)
    networks, assumed = _with_discriminator(file, discriminator, kind, _told(kind, clamp, group))
    now, average, d = _players(file, networks)
    for line in assumed.values():
        _log.warning("%s: %s", file, line)
    recipe, shape = _described(kind, average, d, data)
    _check_pair(shape, d, str(discriminator or file))
    experiment = _experiment(recipe, shape, str(file), kind)
    state = _state(experiment, now, average, d)
    if d is None:
        _log.warning("%s holds no discriminator: the run's is an untrained one", file)
    about = {"file": Path(file).name, "as": kind, "training": "not known", "assumed": [*assumed.values()]}
    with contextlib.ExitStack() as holding:
        run = starting.start(out, experiment, going_on.Wish(overwrite), holding)
        written.note(run, {"converted": about})
        with writing.open_checkpoints(run.checkpoints) as checkpoints:
            checkpoints.save(state, wait=True)
    return run.path


def _with_discriminator(
    file: str | Path, discriminator: str | Path | None, kind: str, told: dict[str, Any]
) -> tuple[dict[str, Net], dict[str, str]]:
    """Returns the networks of a file, with D from another file if one is named, and the assumptions about them."""
    networks, assumed = _networks(file, kind, told)
    if discriminator is None:
        return networks, assumed
    others, also = _networks(discriminator, kind, told)
    if "D" not in others:
        raise FieldError("discriminator", discriminator, "it holds none; name a file that does, or leave it out")
    return networks | {"D": others["D"]}, assumed | also


def _players(file: str | Path, networks: Mapping[str, Net]) -> tuple[Net, Net, Net | None]:
    """Returns the generator, the averaged one and D; where one generator is missing, the other takes its place."""
    now, average = networks.get("G", networks.get("G_ema")), networks.get("G_ema", networks.get("G"))
    if now is None or average is None:
        raise FieldError("file", f"{file} holds no generator", "a run needs one")
    if average[0] != now[0]:
        raise ValueError(f"file: {file} holds a G and a G_ema of different sizes: {_differences(now[0], average[0])}")
    return now, average, networks.get("D")


def _experiment(recipe: Recipe, shape: Shape, file: str, kind: str) -> Experiment:
    """Builds a recipe without data.

    Raises:
        FieldError: when the networks have sizes that no recipe may have.
    """
    names = tuple(str(i) for i in range(shape.classes))
    assert isinstance(recipe.data, Data)
    dataset = Dataset(recipe.data.name, "train", shape.sample, names, None, _no_batches)
    try:
        recipe = recipes.check(recipe)
    except FieldError as error:
        raise error.renamed(f"file: {file}, as {kind}: {error.field}") from error
    return build(recipe, dataset=dataset)


def _state(experiment: Experiment, now: Net, average: Net, d: Net | None) -> GANState:
    """Returns a fresh state with these weights in place of its own."""
    # Run once, and mostly overwritten: compiling it well would take longer than everything else here.
    state = jax.jit(experiment.gan.init, compiler_options={"xla_backend_optimization_level": 0})(experiment.key)
    g = state.g._replace(params=_as(now[1], state.g.params), stats=_as(now[2], state.g.stats))
    ema = state.ema._replace(params=_as(average[1], state.ema.params), stats=_as(average[2], state.ema.stats))
    if d is None:
        return state._replace(g=g, ema=ema)
    return state._replace(g=g, ema=ema, d=state.d._replace(params=_as(d[1], state.d.params), stats=_as(d[2], state.d.stats)))


def _networks(file: str | Path, kind: str, told: dict[str, Any]) -> tuple[dict[str, Net], dict[str, str]]:
    """Returns the networks of a file by player, G, D, G_ema, and what was assumed of them: a line for each setting."""
    structure = torch_file.read(file)
    settings, found, assumed = torch_file.init_kwargs(structure), dict[str, Net](), dict[str, str]()
    parts = torch_file.state_dicts(structure)
    for name, tensors in parts.items():
        if name not in ("", "G", "D", "G_ema"):
            continue  # a classifier's, an optimizer's
        known = _settings(kind, settings.get(name, {})) | told
        try:
            network = KINDS[kind](tensors, **known)
        except ValueError as error:
            of = f", {name}" if name else ""
            raise ValueError(f"file: {file}{of}, as {kind}: {str(error).removeprefix('tensors: ')}") from error
        player = name or ("G" if isinstance(network[0], _GENERATORS) else "D")
        found[player] = network
        assumed |= _assumed(kind, player, known)
    if not found:
        raise FieldError(
            "file", f"{file} holds {', '.join(map(_shown, parts.items()))}", "a run needs a generator, named G or netG"
        )
    return found, assumed


def _differences(one: Any, other: Any) -> str:
    """Returns the fields in which two networks differ, in words."""
    if type(one) is not type(other):
        return f"{type(one).__name__} and {type(other).__name__}"
    names = [each.name for each in dataclasses.fields(one) if each.compare]
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in names}
    return ", ".join(f"{name} {a} and {b}" for name, (a, b) in pairs.items() if a != b)


def _shown(part: tuple[str, Mapping[str, Any]]) -> str:
    """Returns a network in words, with the first of its tensors."""
    name, tensors = part
    first = [f"{each} {tuple(x.shape)}" for each, x in list(tensors.items())[:3]]
    return f"{name} ({len(tensors)} tensors: {', '.join(first)}{', ..' * (len(tensors) > 3)})"


def _told(kind: str, clamp: float | None, group: int | None) -> dict[str, Any]:
    """Returns the settings that the user told, checked."""
    for name, value in (("clamp", clamp), ("group", group)):
        if value is not None and kind != "stylegan2":
            raise FieldError(name, value, f"it is of stylegan2, not of {kind}")
        if value is not None and not 0 <= value < 1e9:
            raise FieldError(name, value, "it must be from 0 to 1e9")
    settings = {} if clamp is None else {"conv_clamp": clamp or None}
    return settings | ({} if group is None else {"mbstd_group": group or None})


def _settings(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns what a network was made with that its tensors do not tell, where the file holds it."""
    if kind != "stylegan2" or not arguments:
        return {}
    inner = {**arguments.get("synthesis_kwargs", {}), **arguments}
    group = arguments.get("epilogue_kwargs", {})
    return {"conv_clamp": inner.get("conv_clamp"), "mbstd_group": group.get("mbstd_group_size", 4)}


def _assumed(kind: str, player: str, known: dict[str, Any]) -> dict[str, str]:
    """Returns a line for each setting that neither the file nor the user told."""
    if kind != "stylegan2":
        return {}
    lines = {}
    if "conv_clamp" not in known:
        lines["clamp"] = (
            "the bound of the activations is not told by tensors: none is assumed (--clamp; the published networks have 256)"
        )
    if "mbstd_group" not in known and player == "D":
        lines["group"] = "the images whose deviation D sees together are not told by tensors: 4 are assumed (--group)"
    return lines


def _described(kind: str, g: Net, d: Net | None, data: str) -> tuple[Recipe, Shape]:
    """Returns the recipe that builds these networks; its training fields are defaults."""
    g_module, params, _ = g
    d_module = None if d is None else d[0]
    size = g_module.image_size
    if kind == "dcgan":
        width = g_module.width if d_module is None else d_module.width
        pair: tuple[Any, Any] = (
            DCGAN(g_module.width, norm="batch", latent_dim=params["up_0"]["kernel"].shape[2]),
            DCGANDiscriminator(width, norm="batch"),
        )
    elif kind == "sngan":
        width = g_module.width if d_module is None else d_module.width
        latent_dim = params["start"]["kernel"].shape[0]
        pair = (SNGAN(g_module.width, latent_dim=latent_dim), SNGANDiscriminator(width))
    elif kind == "r3gan":
        pair = _r3gan(g_module, d_module, params)
    else:
        pair = _stylegan2(g_module, d_module, params)
    shape = Shape((size, size, g_module.channels), g_module.classes)
    recipe = Recipe(Data(data, image_size=size, channels=g_module.channels, conditional=shape.classes > 0), *pair)
    return recipe, shape


def _r3gan(g: r3gan.Generator, d: r3gan.Discriminator | None, params: PyTree) -> tuple[R3GAN, R3GANDiscriminator]:
    def sizes(module: r3gan.Generator | r3gan.Discriminator) -> dict[str, Any]:
        blocks = (module.blocks,) * len(module.widths) if isinstance(module.blocks, int) else module.blocks
        return {"widths": module.widths, "groups": module.groups, "blocks": blocks, "expansion": module.expansion}

    latent_dim = params["linear"]["kernel"].shape[0] - (g.embedding if g.classes else 0)
    generator = R3GAN(latent_dim=latent_dim, embedding=g.embedding, **sizes(g))
    return generator, R3GANDiscriminator(embedding=None if d is None else d.embedding, **sizes(g if d is None else d))


def _stylegan2(
    g: stylegan2.Generator, d: stylegan2.Discriminator | None, params: PyTree
) -> tuple[StyleGAN2, StyleGAN2Discriminator]:
    def sizes(module: stylegan2.Generator | stylegan2.Discriminator) -> dict[str, Any]:
        fields = ("channel_base", module.channel_base), ("channel_max", module.channel_max), ("clamp", module.conv_clamp)
        return {"depth": module.mapping_layers, **dict(fields)}

    latent_dim = params["mapping"]["dense_0"]["kernel"].shape[0] - (g.w_dim if g.classes else 0)
    architecture: dict[str, Any] = {"architecture": g.architecture}
    generator = StyleGAN2(latent_dim=latent_dim, style_dim=g.w_dim, **sizes(g), **architecture)
    if d is None:
        return generator, StyleGAN2Discriminator(**sizes(g))
    group: dict[str, Any] = {"architecture": d.architecture, "group": d.mbstd_group or 0, "group_features": d.mbstd_features}
    return generator, StyleGAN2Discriminator(**sizes(d), **group)


def _check_pair(shape: Shape, d: Net | None, file: str) -> None:
    if d is not None:
        seen = (d[0].image_size, d[0].image_size, d[0].channels), d[0].classes
        if seen != (shape.sample, shape.classes):
            raise FieldError(
                "discriminator",
                f"{file} judges images of shape {seen[0]} in {seen[1]} classes",
                f"the generator makes {shape.sample} in {shape.classes}",
            )


def _as(made: PyTree, wanted: PyTree) -> PyTree:
    """Returns the arrays in the order and dtypes of the run's network."""
    forms: list[Any] = [jax.tree.structure(made), jax.tree.structure(wanted)]
    if forms[0] != forms[1]:  # a generator without noise, say
        raise ValueError("file: its network is of a form that no recipe describes")
    return jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype).reshape(like.shape), made, wanted)


def _no_batches(*_: Any) -> Any:
    raise FieldError("data", "none", "a converted run has no training data; name some with --data NAME")
