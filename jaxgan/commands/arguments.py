"""The arguments of each verb of the command line; nothing here loads JAX."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxgan.recipes import Recipe

# Options of several verbs, each with its text; an option of one verb has its text below it.
Member = Annotated[int, tyro.conf.arg(help="Number of the GAN to take, in a run of several.")]
Best = Annotated[bool, tyro.conf.arg(help="Take the checkpoint that keep-best keeps rather than the last.")]
Strict = Annotated[bool, tyro.conf.arg(help="Refuse a damaged checkpoint rather than fall back to the one before.")]
Code = Annotated[
    Path | None,
    tyro.conf.arg(help="Folder in which the run's own code is looked for first; a file stands for a notebook's code."),
]
TrustRunCode = Annotated[bool, tyro.conf.arg(help="Execute the copy of its code that the run carries.")]
CompileCache = Annotated[bool, tyro.conf.arg(help="Keep compiled programs on disk, so that the next start is quick.")]
TableFile = Annotated[Path | None, tyro.conf.arg(help="JSON file to write the table to as well.")]
Overwrite = Annotated[bool, tyro.conf.arg(help="Delete the run that is there and begin anew.")]
Truncation = Annotated[
    float | None,
    tyro.conf.arg(help="Less variety, more typical images: psi of styles (stylegan2, 1 for none) or threshold of z."),
]
Seed = Annotated[int, tyro.conf.arg(help="Seed of the latents.")]
Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory.")]
RunOrWeights = Annotated[
    tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory, or a .safetensors file.")
]
RunOrFile = Annotated[
    tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory, or a .safetensors or .jaxgan file.")
]


@dataclass(frozen=True)
class Train:
    """Trains a GAN: `jaxgan train [RECIPE]`; the same command again goes on.

    RECIPE is a name (by default digits), a file my.py or my.py:name, or a run, which goes on with its own recipe. --generator
    NAME and --discriminator NAME choose other networks, whose fields are then the options.
    """

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    run: Path | None = None
    """Run directory; runs/RECIPE by default."""
    overwrite: Overwrite = False
    change: bool = False
    """Go on with a recipe that differs from the run's, and record what changed at which step."""
    accept_code: bool = False
    """Go on with code of your own that has changed since."""
    code: Code = None
    trust_run_code: TrustRunCode = False
    strict: Strict = False
    tensorboard: bool = False
    """Also write tensorboard/; needs the tensorboard extra."""
    report: bool = False
    """Write report.html into the run at the end, see jaxgan report."""
    distributed: bool = False
    """Train with other processes that are given the same command: one on each host, found through the cluster (Slurm, Open MPI,
    Kubernetes, Cloud TPU) or by the three options below."""
    coordinator: str | None = None
    """HOST:PORT of process 0; JAX_COORDINATOR_ADDRESS is heeded too."""
    processes: int | None = None
    """Number of processes that take part."""
    process: int | None = None
    """Number of this process, from 0."""
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Sample:
    """Draws images from the averaged generator; image i depends on the seed, its label and i only."""

    run: RunOrFile
    n: int | None = None
    """Number of samples; 64 by default, of points 2,500."""
    seed: Seed = 0
    labels: tuple[str, ...] | None = None
    """Classes to draw in turn, by number or name; every class by default."""
    conditions: Path | None = None
    """.npz of conditions to draw for in turn: condition, or condition/NAME of several; a run has those of its pictures."""
    truncation: Truncation = None
    batch: int = 64
    """Most images generated at a time; it does not change them."""
    out: Path | None = None
    """.png: one grid; .npz: arrays images and labels; a folder: one PNG each. By default a grid in the run."""
    member: Member = 0
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Interpolate:
    """Draws images along a way through latent space, from one seed to the next."""

    run: RunOrFile
    out: Path
    """.png: strips; .gif, .webp or .mp4 (extra video): an animation that comes back to its beginning."""
    seeds: tuple[int, ...] = (3, 7, 12)
    """Seeds of the images to pass through; four of a sheet."""
    frames: int | None = None
    """Images from one seed to the next, both included; 9 of a strip, 24 of an animation, 7 of a sheet's side by default."""
    path: Literal["slerp", "lerp"] = "slerp"
    """Along the great circle or the straight line."""
    labels: tuple[str, ...] | None = None
    """Classes that walk the same way, by number or name; every class by default. With --morph, those to go through."""
    loop: bool = False
    """Go round smoothly, by a periodic spline through the seeds."""
    sheet: bool = False
    """A square between four seeds, of one class."""
    morph: bool = False
    """Each seed's image goes from class to class of --labels."""
    mix: bool = False
    """A table of coarse styles of one seed with fine ones of another; for networks with a mapping."""
    cut: int | None = None
    """Layers that the coarse seed of a mixture gives; half by default."""
    direction: str | None = None
    """NAME or NAME:3 of those that directions saved: from 3 deviations on one side of the first seed to 3 on the other."""
    latents: Path | None = None
    """The latents.npz that project wrote, to walk between instead of those of seeds."""
    member: Member = 0
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Project:
    """Finds the latents of images, by gradient descent through the averaged generator; what it cannot make is an anomaly."""

    run: RunOrWeights
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE")]
    """Pictures, folders of these, or .npz files with an array images. Another size is fitted as the run's data were."""
    labels: tuple[str, ...] | None = None
    """A class for all images, or one for each, by number or name; by default every class is tried, and the best kept."""
    conditions: Path | None = None
    """.npz of the condition of each image, for a generator that takes one."""
    space: Annotated[Literal["z", "w", "w+"] | None, tyro.conf.arg(metavar="{z,w,w+}")] = None
    """With a mapping also w, one style, or w+, one for each layer; by default w where there is one, else z."""
    restarts: int = 8
    """Latents optimised at once for each image; the best is kept."""
    steps: int = 300
    """Steps of Adam."""
    seed: int = 0
    """Seed of the latents to begin with."""
    features: str | None = None
    """Features whose distance is told, as for evaluate, or none; by default those that suit the data, where at hand."""
    out: Path | None = None
    """Folder for way.png, latents.npz and projection.json; by default projection in the run, or beside the file."""
    member: Member = 0
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Directions:
    """Finds directions of the latent space along which images change in one respect, and saves them beside the run."""

    run: RunOrWeights
    method: Literal["pca", "factorise"] = "pca"
    """pca: principal directions of w, without w those in which images change most; factorise: of the first weights (SeFa)."""
    labels: tuple[str, ...] | None = None
    """Two classes: the direction from the first to the second, of w, or as a classifier reads the images."""
    function: str | None = None
    """file.py:NAME of a function of images [B, ...] to a number each: the direction along which the number grows."""
    count: int | None = None
    """Directions that a method gives; 8 by default."""
    name: str | None = None
    """Name to save them under; by default the method's, A-to-B or the function's."""
    features: str | None = None
    """Classifier for --labels, as for evaluate; by default that which suits the data."""
    seed: Seed = 0
    out: Path | None = None
    """.png of the sheet, a row for each direction; by default directions/NAME.png in the run, or beside the file."""
    member: Member = 0
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Evaluate:
    """Measures how good the images of runs or folders are; each figure stands beside that of real images."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run directories, of several GANs all are measured; or folders or .npz files of images. Several are compared."""
    metrics: tuple[str, ...] = ()
    """Metrics by name, or file.py:NAME of your own; by default modes for ring, grid and stacked_mnist, and for other data
    fid (not with efficientnet-lite0), kid, prdc, diversity, and more where features are few. path_length: of the generator."""
    n: int | None = None
    """Samples; by default 10,000 or as many as there are real images, and for modes as many as PacGAN takes."""
    features: str | None = None
    """Features that are compared: pixels, samples, whitened, digits, mnist, fashion_mnist, cifar10, efficientnet-lite0,
    efficientnet-lite0:96, inception, inception:half_pixel, inception:clean, dinov2, dinov2:base; or file.py:NAME of a
    function of your own. By default a classifier of the same data; of other pictures in colour efficientnet-lite0 where its
    package is installed, else inception; of any other data whitened."""
    weights: Path | None = None
    """File of inception's, dinov2's or efficientnet-lite0's published weights, where it is not in the cache."""
    data: str | None = None
    """Real images to compare with, as --data.name of a recipe; by default those trained on."""
    split: str | None = None
    """Split of the real images; by default the one trained on."""
    image_size: int | None = None
    """Side in pixels that folders of images, given and real, are fitted to; by default the run's, or their own."""
    seed: Seed = 0
    batch: int = 500
    """Samples generated at a time; it does not change them."""
    averaged: bool = True
    """Take the averaged generator rather than the one in training."""
    truncation: Truncation = None
    out: Path | None = None
    """JSON file; by default evaluation.json in the run, beside images, or of several in the current folder."""
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Export:
    """Writes the averaged generator: weights, a program that runs without this library, a folder for the hub, a page."""

    run: Run
    out: Path
    """.safetensors: weights, with D's; .jaxgan: a program that needs jax, numpy and flatbuffers; .onnx; or a folder."""
    form: Literal["file", "hub", "page"] = "file"
    """Form to write: a file by its ending, a folder for the Hugging Face hub, a web page that samples."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    """Precision of the weights in .onnx and the page: fewer bits make smaller files."""
    license_id: Annotated[str | None, tyro.conf.arg(name="license")] = None
    """License of the folder for the hub, such as mit or cc-by-4.0."""
    push: str | None = None
    """OWNER/NAME of the hub to upload the folder to; without it nothing is sent."""
    runtime: Path | None = None
    """Unpacked npm package onnxruntime-web, for the page; by default npm fetches it."""
    overwrite: bool = False
    """Replace the files of a folder that is not empty."""
    member: Member = 0
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Report:
    """Writes one HTML file about a run: curves, samples over training, an interpolation, figures, recipe; no network needed."""

    run: Run
    out: Path | None = None
    """.html; report.html in the run by default."""
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Explore:
    """Serves a local page on which a generator is explored: seeds, classes, ways between images; Ctrl-C ends it."""

    run: RunOrFile
    port: int = 8765
    """Port of the page; 0 for any that is free."""
    host: str = "127.0.0.1"
    """Address that the page listens at; any other than 127.0.0.1 lets other machines see the samples."""
    browser: bool = True
    """Open the page in a browser, where there is a screen."""
    member: Member = 0
    best: Best = False
    strict: Strict = False
    code: Code = None
    trust_run_code: TrustRunCode = False
    compile_cache: CompileCache = True


@dataclass(frozen=True)
class Convert:
    """Turns weights from PyTorch into a run; nothing in the file is executed."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """State dict of a generator, or of G, D and G_ema: .safetensors, .pth, .pt or .pkl."""
    kind: Annotated[Literal["dcgan", "sngan", "r3gan", "stylegan2"], tyro.conf.arg(name="as")]
    """Architecture: of PyTorch's examples, of mimicry, of R3GAN, of StyleGAN2-ADA."""
    out: Path
    """Run directory."""
    discriminator: Path | None = None
    """File with the state dict of D, where it is not in the same."""
    data: str = "none"
    """Data that the weights were trained on, as a recipe names them; needed to evaluate."""
    clamp: float | None = None
    """Bound of StyleGAN2's activations, 0 for none; 256 for the published networks. By default what the file tells."""
    group: int | None = None
    """Images whose deviation StyleGAN2's D sees together, 0 for the whole batch. By default what the file tells."""
    overwrite: Overwrite = False


@dataclass(frozen=True)
class Prepare:
    """Prepares a data set for use without a network: digits, mnist, fashion_mnist, cifar10 without TensorFlow."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Name of a TensorFlow Datasets image set."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Folder with the original files; from the network by default."""


@dataclass(frozen=True)
class Plan:
    """Computes the parameters, FLOPs and memory that a recipe takes, and whether it fits; nothing is trained."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    devices: int | None = None
    """Number of devices; by default those of this machine."""
    memory: float | None = None
    """Memory of a device in GiB; by default that of this machine's."""
    accelerator: bool = False
    """The devices are GPUs or TPUs, on which convolutions take less memory than on CPUs; by default they are as here."""
    out: TableFile = None


@dataclass(frozen=True)
class Bench:
    """Times training and sampling on synthetic data; nothing else should run meanwhile."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    out: TableFile = None


@dataclass(frozen=True)
class Recipes:
    """Lists the recipes: data, networks, objective, what each needs and what it reached."""


@dataclass(frozen=True)
class Completion:
    """Prints what a shell evaluates for tab completion: `eval "$(jaxgan completion bash)"`."""

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh", "fish"]], tyro.conf.arg(metavar="SHELL")]
    """bash, zsh or fish."""
