"""Networks as parts of a recipe: a frozen dataclass for each player of each architecture.

`build(shape)` returns the `Network`. A part whose build also takes `precision` or `remat` handles them itself; the network of
any other part is wrapped as a whole. `shape.sample` is the shape of one sample, or of a pack for a discriminator.
`shape.classes` is the number of classes, 0 when the recipe is unconditional. `shape.condition` is the form of another
condition, for parts that say `takes_condition`.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from jaxgan.recipes.fields import Within
from jaxgan.system.messages import FieldError

Latent = Literal["normal", "uniform", "sphere"]
Width = Annotated[int, Within(1, 4096)]
Depth = Annotated[int, Within(1, 64)]
LatentDim = Annotated[int, Within(1, 65_536)]
Widths = Annotated[tuple[int, ...], Within(1, 16_384)]
Blocks = Annotated[tuple[int, ...], Within(1, 64)]
Levels = Annotated[int, Within(0, 16)]


@dataclass(frozen=True)
class MLP:
    """G of fully connected layers: latents to points or small images."""

    width: Width = 64
    """Units of a hidden layer."""
    depth: Depth = 2
    """Hidden layers."""
    norm: Literal["batch", "none"] = "none"
    """Normalisation."""
    latent_dim: LatentDim = 64
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the generator for samples of this shape."""
        from jaxgan.nets import mlp

        hidden = (self.width,) * self.depth
        module = mlp.Generator(hidden, shape.sample, classes=shape.classes, norm=self.norm, remat=remat)
        return _generator(module, self.latent_dim, shape, precision)


@dataclass(frozen=True)
class MLPDiscriminator:
    """D of fully connected layers."""

    width: Width = 64
    """Units of a hidden layer."""
    depth: Depth = 2
    """Hidden layers."""
    norm: Literal["batch", "none", "spectral"] = "none"
    """Normalisation."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the discriminator for samples of this shape."""
        from jaxgan.nets import mlp

        module = mlp.Discriminator((self.width,) * self.depth, classes=shape.classes, norm=self.norm, remat=remat)
        return _discriminator(module, shape, precision, depends_on_batch=self.norm == "batch")


@dataclass(frozen=True)
class DCGAN:
    """G of transposed convolutions (Radford et al. 2016)."""

    width: Width = 64
    """Channels of the widest resolution's layer."""
    norm: Literal["batch", "none"] = "none"
    """Normalisation."""
    latent_dim: LatentDim = 64
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""
    blocks: Annotated[int, Within(0, 64)] = 0
    """Residual blocks after each convolution but the last; the paper has none."""
    dense: Annotated[int | None, Within(0, 64)] = None
    """Dense layers of 8 width units before the first map; the paper has none; None: 2 at 8 pixels, else none."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the generator for square images of this shape."""
        from jaxgan.nets import dcgan

        size, channels = square(shape, "dcgan")
        module = dcgan.Generator(size, channels, self.width, shape.classes, self.norm, remat, self.blocks, self.dense)
        return _generator(module, self.latent_dim, shape, precision)


@dataclass(frozen=True)
class DCGANDiscriminator:
    """D of strided convolutions (Radford et al. 2016)."""

    width: Width = 64
    """Channels of the first layer."""
    norm: Literal["batch", "none", "spectral"] = "none"
    """Normalisation; residual blocks have none."""
    blocks: Annotated[int, Within(0, 64)] = 0
    """Residual blocks after each convolution; the paper has none. Not with spectral."""
    dense: Annotated[int | None, Within(0, 64)] = None
    """Dense layers of 8 width units after the last map; the paper has none; None: 2 at 8 pixels, else none."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the discriminator for square images of this shape."""
        from jaxgan.nets import dcgan

        size, channels = square(shape, "dcgan")
        module = dcgan.Discriminator(size, channels, self.width, shape.classes, self.norm, remat, self.blocks, self.dense)
        return _discriminator(module, shape, precision, depends_on_batch=self.norm == "batch")


@dataclass(frozen=True)
class SNGAN:
    """G of residual blocks (Miyato et al. 2018)."""

    width: Width = 64
    """Channels of every layer."""
    latent_dim: LatentDim = 64
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the generator for square images of this shape."""
        from jaxgan.nets import sngan

        size, channels = square(shape, "sngan")
        module = sngan.Generator(size, channels, self.width, shape.classes, remat)
        return _generator(module, self.latent_dim, shape, precision)


@dataclass(frozen=True)
class SNGANDiscriminator:
    """D of residual blocks with spectral normalisation (Miyato et al. 2018)."""

    width: Width = 64
    """Channels of every layer."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the discriminator for square images of this shape."""
        from jaxgan.nets import sngan

        size, channels = square(shape, "sngan")
        module = sngan.Discriminator(size, channels, self.width, shape.classes, remat)
        # Spectral normalisation keeps a statistic, but of the weights: it makes no sample depend on others. Real and generated
        # images pass apart all the same, as in the reference, and the power iteration takes a step with each.
        return _discriminator(module, shape, precision, depends_on_batch=True)


@dataclass(frozen=True)
class R3GAN:
    """G of R3GAN: residual blocks of convolutions in groups, no normalisation (Huang et al. 2024)."""

    widths: Widths = ()
    """Channels of each resolution, from 4x4 up."""
    groups: Widths = ()
    """Groups of each resolution's 3x3 convolutions."""
    blocks: Blocks = ()
    """Residual blocks of each resolution; two each when not given."""
    expansion: Annotated[int, Within(1, 64)] = 2
    """Channels within a block over those between blocks."""
    embedding: Annotated[int, Within(1, 65_536)] = 64
    """Length of the label's vector."""
    bfloat16_levels: Levels = 0
    """Resolutions, from the highest down, computed in bfloat16."""
    latent_dim: LatentDim = 64
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the generator for square images of this shape, of side 4, 8, 16, .."""
        from jaxgan.nets import r3gan

        module = r3gan.Generator(**_r3gan(self, shape, precision, remat))
        return _generator(module, self.latent_dim, shape, "float32")


@dataclass(frozen=True)
class R3GANDiscriminator:
    """D of R3GAN, its generator's mirror image (Huang et al. 2024)."""

    widths: Widths = ()
    """Channels of each resolution, from 4x4 up."""
    groups: Widths = ()
    """Groups of each resolution's 3x3 convolutions."""
    blocks: Blocks = ()
    """Residual blocks of each resolution; two each when not given."""
    expansion: Annotated[int, Within(1, 64)] = 2
    """Channels within a block over those between blocks."""
    embedding: Annotated[int | None, Within(1, 65_536)] = None
    """Length of the label's vector; the channels at 4x4 when None."""
    bfloat16_levels: Levels = 0
    """Resolutions, from the highest down, computed in bfloat16."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the discriminator for square images of this shape, of side 4, 8, 16, .."""
        from jaxgan.nets import r3gan

        module = r3gan.Discriminator(**_r3gan(self, shape, precision, remat))
        return _discriminator(module, shape, "float32", depends_on_batch=False)


@dataclass(frozen=True)
class ResNet:
    """G of residual blocks for signals, fields and volumes of any sides and channels, no statistics of the batch."""

    width: Width = 32
    """Channels of the finest resolution, doubled with each halving of the sides."""
    max_width: Width = 256
    """Most channels of a resolution."""
    blocks: Depth = 1
    """Residual blocks of each resolution."""
    expansion: Annotated[int, Within(1, 64)] = 1
    """Channels within a block over those between blocks."""
    patch: Annotated[int, Within(1, 64)] = 1
    """Side of the patches that G makes at once; above 1 it is faster, and coarser."""
    coarsest: Annotated[int, Within(1, 4096)] = 5
    """Longest side of the coarsest resolution: longer ones are halved."""
    norm: Literal["none", "group"] = "none"
    """Normalisation: none, or of groups of 16 channels of each sample by itself."""
    periodic: bool = False
    """Join the ends of each axis, as on a ring or a torus; sides that stay even when halved suit this best."""
    spatial_latents: bool = False
    """Divide z among the places of the coarsest resolution, so that far places vary independently."""
    embedding: Annotated[int, Within(1, 65_536)] = 64
    """Length of the condition's vector."""
    latent_dim: LatentDim = 64
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""

    takes_condition: ClassVar[bool] = True

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the generator for samples with one to three axes of space, conditional by class, by vector or not."""
        from jaxgan.nets import resnet

        module = resnet.Generator(**_resnet(self, shape, remat))
        if self.spatial_latents:
            resnet.check_parts(self.latent_dim, resnet.levels(shape.sample, self.patch, self.coarsest)[-1])
        return _generator(module, self.latent_dim, shape, precision)


@dataclass(frozen=True)
class ResNetDiscriminator:
    """D of residual blocks, its generator's mirror image."""

    width: Width = 32
    """Channels of the finest resolution, doubled with each halving of the sides."""
    max_width: Width = 256
    """Most channels of a resolution."""
    blocks: Depth = 1
    """Residual blocks of each resolution."""
    expansion: Annotated[int, Within(1, 64)] = 1
    """Channels within a block over those between blocks."""
    patch: Annotated[int, Within(1, 64)] = 1
    """Side of the patches that D sees at once; above 1 it is faster, and coarser."""
    coarsest: Annotated[int, Within(1, 4096)] = 5
    """Longest side of the coarsest resolution: longer ones are halved."""
    norm: Literal["none", "group"] = "none"
    """Normalisation: none, or of groups of 16 channels of each sample by itself."""
    periodic: bool = False
    """Join the ends of each axis, as on a ring or a torus; sides that stay even when halved suit this best."""
    pool: Literal["map", "mean"] = "map"
    """Reduction of the coarsest resolution: a sum weighted by a learnt map, or the mean, blind to where things are."""
    embedding: Annotated[int, Within(1, 65_536)] = 64
    """Length of the condition's vector."""

    takes_condition: ClassVar[bool] = True

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the discriminator for samples of this shape, with one to three axes of space, and conditions as G's."""
        from jaxgan.nets import resnet

        module = resnet.Discriminator(**_resnet(self, shape, remat))
        return _discriminator(module, shape, precision, depends_on_batch=False)


@dataclass(frozen=True)
class StyleGAN2:
    """G of StyleGAN2: a mapping from z to styles, and a synthesis from styles to images (Karras et al. 2020)."""

    depth: Depth = 2
    """Layers of the mapping."""
    style_dim: Annotated[int, Within(1, 65_536)] = 512
    """Length of w."""
    channel_base: Annotated[int, Within(1, 2**20)] = 16_384
    """Channels of a resolution are this over its side, at most channel_max."""
    channel_max: Annotated[int, Within(1, 16_384)] = 512
    """Most channels of a resolution."""
    architecture: Literal["skip", "resnet", "orig"] = "skip"
    """Form in which resolutions are joined."""
    style_mixing: Annotated[float, Within(0, 1)] = 0.0
    """Probability with which a batch is made of two styles each."""
    clamp: Annotated[float | None, Within(1e-6, 1e9)] = None
    """Bound of the activations; none by default."""
    bfloat16_levels: Levels = 0
    """Resolutions, from the highest down, computed in bfloat16."""
    latent_dim: LatentDim = 64
    """Length of z."""
    latent: Latent = "normal"
    """Distribution of z."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the generator for square images of this shape."""
        from jaxgan.nets import stylegan2

        size, channels = square(shape, "stylegan2")
        module = stylegan2.Generator(
            image_size=size,
            channels=channels,
            classes=shape.classes,
            w_dim=self.style_dim,
            mapping_layers=self.depth,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            architecture=self.architecture,
            style_mixing=self.style_mixing,
            conv_clamp=self.clamp,
            bfloat16_levels=bfloat16_levels(self.bfloat16_levels, size, precision),
            remat=remat,
        )
        return _generator(module, self.latent_dim, shape, "float32")


@dataclass(frozen=True)
class StyleGAN2Discriminator:
    """D of StyleGAN2, with the deviation over a group of images as a feature (Karras et al. 2020)."""

    depth: Depth = 2
    """Layers of the mapping of labels."""
    channel_base: Annotated[int, Within(1, 2**20)] = 16_384
    """Channels of a resolution are this over its side, at most channel_max."""
    channel_max: Annotated[int, Within(1, 16_384)] = 512
    """Most channels of a resolution."""
    architecture: Literal["resnet", "orig", "skip"] = "resnet"
    """Form in which resolutions are joined."""
    group: Annotated[int, Within(0, 1_048_576)] = 4
    """Images whose deviation D sees together; 0 for the whole batch."""
    group_features: Annotated[int, Within(0, 16_384)] = 1
    """Features that tell of it."""
    clamp: Annotated[float | None, Within(1e-6, 1e9)] = None
    """Bound of the activations; none by default."""
    bfloat16_levels: Levels = 0
    """Resolutions, from the highest down, computed in bfloat16."""

    def build(self, shape: Any, *, precision: str = "float32", remat: bool = False) -> Any:
        """Returns the discriminator for square images of this shape."""
        from jaxgan.nets import stylegan2

        size, channels = square(shape, "stylegan2")
        module = stylegan2.Discriminator(
            image_size=size,
            channels=channels,
            classes=shape.classes,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            architecture=self.architecture,
            mbstd_group=self.group or None,
            mbstd_features=self.group_features,
            mapping_layers=self.depth,
            conv_clamp=self.clamp,
            bfloat16_levels=bfloat16_levels(self.bfloat16_levels, size, precision),
            remat=remat,
        )
        return _discriminator(module, shape, "float32", depends_on_batch=True, batch=self.group or 1)

    def judged_together(self) -> tuple[str, int]:
        """Returns the field and the number of samples that a batch must be a multiple of, 0 for none."""
        return "group", self.group


def square(shape: Any, network: str) -> tuple[int, int]:
    """Returns `(side, channels)` of square images.

    Args:
        shape: of the data, see the module's docstring.
        network: its name, for the message.

    Raises:
        FieldError: when the data are anything else.
    """
    if len(shape.sample) != 3:
        raise FieldError("type", network, "the data are points in the plane; use mlp" if len(shape.sample) == 1 else
                         f"samples have the shape {shape.sample}, and it makes square images; use resnet")  # fmt: skip
    height, width, channels = shape.sample
    if height != width:
        raise FieldError(
            "image_size", f"{height}x{width}", f"{network} makes square images: give one side, as {width}, or use resnet"
        )
    return height, channels


def bfloat16_levels(levels: int, size: int, precision: str) -> int:
    """Returns the resolutions in bfloat16: those asked for, or with precision bfloat16 all above 4x4.

    Raises:
        FieldError: when both are asked for and differ.
    """
    above = size.bit_length() - 3  # 8, 16, .., size
    if precision == "float32":
        return levels
    if levels not in (0, above):
        allowed = f"precision bfloat16 means all {above} resolutions above 4x4; leave it at 0"
        raise FieldError("bfloat16_levels", levels, allowed)
    return above


def _stages(part: R3GAN | R3GANDiscriminator, size: int) -> tuple[int, ...]:
    """Returns the blocks of each stage.

    Raises:
        FieldError: for all fields at once that do not hold a number for each resolution from 4x4 to that of the images.
    """
    from jaxgan.nets import sides

    if size < 4 or size & (size - 1):
        raise FieldError("image_size", size, f"r3gan makes images of side {sides.near(size)}")
    count = size.bit_length() - 2
    blocks = part.blocks or (2,) * count
    given = {"widths": part.widths, "groups": part.groups, "blocks": blocks}
    wrong = {name: " ".join(map(str, values)) or "none" for name, values in given.items() if len(values) != count}
    if wrong:
        resolutions = ", ".join(str(4 * 2**i) for i in range(count))
        values = next(iter(wrong.values())) if len(set(wrong.values())) == 1 else "; ".join(wrong.values())
        raise FieldError(", ".join(wrong), values, f"images of side {size} need {count} numbers, one for each of {resolutions}")
    return blocks


def _generator(module: Any, latent_dim: int, shape: Any, precision: str) -> Any:
    import jax.numpy as jnp

    from jaxgan.nets.linen import from_linen
    from jaxgan.nets.transforms import at_precision

    # Nothing asks whether G makes samples depend on each other; said here, from_linen need not trace its init to find out.
    network = from_linen(module, jnp.zeros((1, latent_dim)), _condition(shape, 1), depends_on_batch=True)
    return at_precision(network, _dtype(shape, precision))


def _discriminator(module: Any, shape: Any, precision: str, *, depends_on_batch: bool, batch: int = 1) -> Any:
    import jax.numpy as jnp

    from jaxgan.nets.linen import from_linen
    from jaxgan.nets.transforms import at_precision

    example = jnp.zeros((batch, *shape.sample)), _condition(shape, batch)
    return at_precision(from_linen(module, *example, depends_on_batch=depends_on_batch), _dtype(shape, precision))


def _condition(shape: Any, batch: int) -> Any:
    """Returns what networks are given besides z or samples: labels, or the condition of the data."""
    import jax.numpy as jnp

    of = shape.condition
    return jnp.zeros(batch, jnp.int32) if of is None else jnp.zeros((batch, *of.shape), of.dtype)


def _dtype(shape: Any, precision: str) -> Any:
    """Returns the dtype that a network's input is rounded to.

    Raises:
        FieldError: when the samples are too fine for it.
    """
    import jax.numpy as jnp

    if precision == "float32":
        return jnp.float32
    if len(shape.sample) == 1:
        raise FieldError("precision", precision, "the data are vectors, too fine for its 8 bits; it is for images and the like")
    return jnp.bfloat16


def _r3gan(part: R3GAN | R3GANDiscriminator, shape: Any, precision: str, remat: bool) -> dict[str, Any]:
    size, channels = square(shape, "r3gan")
    blocks = _stages(part, size)
    return {
        "widths": part.widths,
        "groups": part.groups,
        "blocks": blocks,
        "expansion": part.expansion,
        "embedding": part.embedding,
        "channels": channels,
        "classes": shape.classes,
        "bfloat16_levels": bfloat16_levels(part.bfloat16_levels, size, precision),
        "remat": remat,
    }


def _resnet(part: ResNet | ResNetDiscriminator, shape: Any, remat: bool) -> dict[str, Any]:
    if not 2 <= len(shape.sample) <= 4:
        told = "the data are vectors; use mlp" if len(shape.sample) == 1 else "it makes signals, fields and volumes"
        raise FieldError("type", "resnet", told)
    of = shape.condition
    if of is not None and (len(getattr(of, "shape", ())) != 1 or of.dtype.kind != "f"):
        raise FieldError("type", "resnet", "it takes classes, or for each sample one vector of real numbers, as a condition")
    own = {field.name: getattr(part, field.name) for field in fields(part) if not field.name.startswith("latent")}
    return own | {"shape": tuple(shape.sample), "classes": shape.classes, "remat": remat}
