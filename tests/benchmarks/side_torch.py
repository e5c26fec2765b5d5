"""The same training and sampling in PyTorch; started by step_time.py.

`eager` is the plain loop: memory format, threads and optimizer as they are by default. `tuned` is as fast as eager means make
it: memory format and kind of Adam are whichever combination is fastest here, and StyleGAN2's styles scale activations or, in
groups, the kernels of each sample; `channels_last` is that without a trial, and with fused Adam; `large_pages` is `tuned` in
another environment. `compile` adds torch.compile to `tuned`, of both networks, but not of D where a penalty differentiates its
gradient, which AOTAutograd cannot; `graph` replays the whole eager step as one CUDA graph. All of them make one G(z) for both
updates, freeze D in G's update, set gradients to None and read nothing back. Unlike jaxgan's step, these keep no averaged
generator and compute no norms.
"""

import contextlib
import copy
import fcntl
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_nets as nets
from torch import nn
from torch.nn.functional import relu, softplus
from turns import Task, fastest, process_peak, serve
from workloads import recipe_of

from jaxgan.recipes import Recipe
from jaxgan.recipes.table import NETWORKS

SAMPLES = (1, 64, 512)
APART = (
    "dcgan",
    "sngan",
    "stylegan2",
)  # whose D sees real and fake apart: it has statistics of the batch, or its reference does


def name_of(part: Any) -> str:
    """Returns the short name of a network's part."""
    kind = type(part).__name__
    return next(name for name, pair in NETWORKS.items() if f":{kind} " in f"{pair.generator} {pair.discriminator} ")


def generator(of: Any, size: int, channels: int, *, grouped: bool) -> nn.Module:
    if name_of(of) == "mlp":
        return nets.mlp_generator(of.latent_dim, of.width, of.depth, (channels, size, size))
    if name_of(of) == "dcgan":
        return nets.dcgan_generator(size, of.width, of.latent_dim)
    if name_of(of) == "sngan":
        return nets.sngan_generator(of.width, of.latent_dim)
    if name_of(of) == "r3gan":
        return nets.r3gan_generator(of.widths, of.groups, of.latent_dim)
    if name_of(of) == "resnet":
        return nets.ResNetGenerator(size, of.width, of.max_width, of.expansion, of.latent_dim)
    return nets.stylegan2_generator(size, of.channel_base, of.channel_max, of.style_dim, of.latent_dim, of.depth, grouped)


def discriminator(of: Any, size: int, channels: int) -> nn.Module:
    if name_of(of) == "mlp":
        return nets.mlp_discriminator(channels * size**2, of.width, of.depth)
    if name_of(of) == "dcgan":
        return nets.dcgan_discriminator(size, of.width)
    if name_of(of) == "sngan":
        return nets.sngan_discriminator(of.width)
    if name_of(of) == "r3gan":
        return nets.r3gan_discriminator(of.widths, of.groups)
    if name_of(of) == "resnet":
        return nets.ResNetDiscriminator(size, of.width, of.max_width, of.expansion)
    return nets.stylegan2_discriminator(size, of.channel_base, of.channel_max)


def d_loss_of(loss: str, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    if loss == "hinge":
        return relu(1 - real).mean() + relu(1 + fake).mean()
    return softplus(fake - real).mean() if loss == "relativistic" else softplus(-real).mean() + softplus(fake).mean()


def g_loss_of(loss: str, real: torch.Tensor | None, fake: torch.Tensor) -> torch.Tensor:
    if real is not None:
        return softplus(real - fake).mean()
    return -fake.mean() if loss == "hinge" else softplus(-fake).mean()


class Side:
    def __init__(self, settings: dict[str, Any], variant: str, layout: str, adam: str, grouped: bool = False) -> None:
        torch.manual_seed(0)
        self.recipe: Recipe = recipe_of(settings)
        self.device, self.variant, self.steps, self.replay = settings["device"], variant, 0, None
        recipe, self.half = self.recipe, settings["precision"] == "bfloat16"
        size, channels = recipe.data.image_size or 32, recipe.data.channels or 3
        self.memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.g = generator(recipe.generator, size, channels, grouped=grouped).to(self.device, memory_format=self.memory).train()
        self.d = discriminator(recipe.discriminator, size, channels).to(self.device, memory_format=self.memory).train()
        self.g_call, self.d_call, self.critic = self.g, self.d, self.d
        if variant == "compile":
            self.g_call, self.d_call = torch.compile(self.g), torch.compile(self.d)
        self.relativistic = recipe.loss == "relativistic"
        rows = recipe.batch_size * (1 + self.relativistic)
        self.use(torch.tanh(torch.randn(rows, channels, size, size)))
        self.z: torch.Tensor | None = None
        self.g_adam, self.d_adam = self.adam(self.g, recipe.g_optimizer, adam), self.adam(self.d, recipe.d_optimizer, adam)
        if variant == "graph":
            self.capture()

    def adam(self, net: nn.Module, of: Any, kind: str) -> torch.optim.Adam:
        penalty = self.recipe.penalty
        lazily = net is self.d and penalty.name != "none" and penalty.interval > 1
        scale = penalty.interval / (penalty.interval + 1) if lazily else 1.0  # StyleGAN2's, for the updates it has more
        options: dict[str, Any] = {"lr": of.learning_rate * scale, "betas": (of.beta1**scale, of.beta2**scale)}
        options["capturable"] = self.variant == "graph"
        return torch.optim.Adam(net.parameters(), **options, **({} if kind == "default" else {kind: True}))

    def use(self, images: torch.Tensor) -> None:
        """These are the real images; every second one is for G where its loss looks at real images, as jaxgan deals them."""
        images = images.to(self.device).contiguous(memory_format=self.memory)
        self.real = images[:: 1 + self.relativistic].contiguous(memory_format=self.memory)
        self.g_real = images[1::2].contiguous(memory_format=self.memory) if self.relativistic else None

    def latents(self, count: int) -> torch.Tensor:
        return torch.randn(count, self.recipe.generator.latent_dim, device=self.device)

    def cast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16) if self.half else contextlib.nullcontext()

    def judged(self, critic: Any, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if name_of(self.recipe.discriminator) in APART:
            return critic(self.real), critic(fake)
        return critic(torch.cat([self.real, fake])).chunk(2)

    def penalty(self, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The penalty with its weight, and the logits on the way."""
        both = self.recipe.penalty.name == "r1_r2"
        images = torch.cat([self.real, fake]) if both else self.real
        images = images.detach().requires_grad_(True)
        with self.cast():
            logits = self.critic(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        squared = gradient.square().sum((1, 2, 3)).mean() * (2 if both else 1)
        return self.recipe.penalty.gamma * 0.5 * squared, logits if both else None

    def step(self) -> None:
        recipe = self.recipe
        always, lazily = (recipe.penalty.name != "none" and (recipe.penalty.interval > 1) == lazy for lazy in (False, True))
        self.d_adam.zero_grad(set_to_none=True)
        self.g_adam.zero_grad(set_to_none=True)
        z = self.latents(recipe.batch_size) if self.z is None else self.z
        with self.cast():
            fake = self.g_call(z)
        if always:
            penalty, logits = self.penalty(fake.detach())
            assert logits is not None
            real_logits, fake_logits = logits.chunk(2)
        else:
            with self.cast():
                real_logits, fake_logits = self.judged(self.d_call, fake.detach())
        d_loss = d_loss_of(recipe.loss, real_logits.float(), fake_logits.float())
        (d_loss + penalty if always else d_loss).backward()
        self.d_adam.step()
        if lazily and self.steps % recipe.penalty.interval == 0:
            self.d_adam.zero_grad(set_to_none=True)
            (recipe.penalty.interval * self.penalty(fake.detach())[0]).backward()
            self.d_adam.step()
        self.d.requires_grad_(False)
        with self.cast():
            real_logits = None
            if self.g_real is not None:
                with torch.no_grad():
                    real_logits = self.d_call(self.g_real).float()
            fake_logits = self.d_call(fake).float()
        g_loss = g_loss_of(recipe.loss, real_logits, fake_logits)
        g_loss.backward()
        self.d.requires_grad_(True)
        self.g_adam.step()
        self.steps += 1
        self.losses = d_loss, g_loss

    def capture(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.replay = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.replay):
            self.step()

    def train(self, count: int) -> None:
        self.g.train()
        for _ in range(count):
            if self.replay is None:
                self.step()
            else:
                self.replay.replay()

    def draw(self, images: int, count: int) -> None:
        self.g.eval()
        with torch.inference_mode(), self.cast():
            for _ in range(count):
                self.g_call(self.latents(images))

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def gemm(self) -> dict[str, float]:
        """FLOP/s of a large product in the precision of the networks."""
        side = 2048 if self.device == "cpu" else 8192
        x = torch.randn(side, side, device=self.device, dtype=torch.bfloat16 if self.half else torch.float32)

        def product() -> None:
            torch.mm(x, x)
            self.wait()

        product()
        return {"peak": 2 * side**3 / fastest(product)}

    def memory_peak(self) -> dict[str, int]:
        return {"bytes": torch.cuda.max_memory_allocated() if self.device == "cuda" else process_peak()}


def reference(settings: dict[str, Any], inputs: str, path: str) -> dict[str, float]:
    """One step on given images and z: keeps the weights before it, and the losses and Adam's first moments after it."""
    assert torch.get_default_dtype() == torch.float64
    side, given = Side(settings, "eager", "contiguous", "default"), np.load(inputs)
    side.use(torch.from_numpy(given["real"]).permute(0, 3, 1, 2))
    side.z = torch.from_numpy(given["z"]).to(side.device)
    kept = {f"{p}.weights.{name}": x for p in ("g", "d") for name, x in nets.exported(getattr(side, p)).items()}
    side.step()
    for player in ("g", "d"):
        net, adam = getattr(side, player), getattr(side, f"{player}_adam")
        moments = copy.deepcopy(net)
        with torch.no_grad():
            for of, parameter in zip(moments.parameters(), net.parameters(), strict=True):
                # No gradient is one of zero: PyTorch leaves the moment as it was before.
                of.copy_(torch.zeros_like(parameter) if parameter.grad is None else adam.state[parameter]["exp_avg"])
        kept |= {f"{player}.moments.{name}": x for name, x in nets.exported(moments).items()}
    d_loss, g_loss = (loss.item() for loss in side.losses)
    np.savez(path, d_loss=d_loss, g_loss=g_loss, **kept)
    return {"d_loss": d_loss, "g_loss": g_loss}


@contextlib.contextmanager
def one_at_a_time(device: str) -> Iterator[None]:
    """Of the peers that were started at once, only one tries its options on the GPU."""
    with open(Path(tempfile.gettempdir(), "jaxgan-benchmarks.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        if device == "cuda":
            torch.cuda.empty_cache()


def seconds(side: Side, steps: int) -> float:
    """Of one step; where the first takes longer than a second, one more is enough."""
    start = time.perf_counter()
    side.train(1)
    side.wait()
    steps = 1 if time.perf_counter() - start > 1 else steps
    start = time.perf_counter()
    side.train(steps)
    side.wait()
    return (time.perf_counter() - start) / steps


def tuned(settings: dict[str, Any], variant: str) -> tuple[Side, str]:
    """The fastest of memory format x kind of Adam, the best of two rounds where steps are short."""
    threads = f"{torch.get_num_threads()} threads"
    if variant == "eager":
        return Side(settings, variant, "contiguous", "default"), f"eager, {threads}"
    if variant == "compile" and settings["device"] == "cuda":  # whose compiler chooses the memory format itself
        return Side(settings, variant, "contiguous", "fused"), "compile, fused Adam"
    if variant == "channels_last":
        return Side(settings, variant, variant, "fused"), f"eager, {threads}, channels_last, fused Adam"
    timed: dict[tuple[str, str, bool], float] = {}
    grouped = (False, True) if name_of(recipe_of(settings).generator) == "stylegan2" else (False,)
    with one_at_a_time(settings["device"]):
        for _ in range(2):
            for option in itertools.product(("contiguous", "channels_last"), ("foreach", "fused"), grouped):
                if timed.get(option, 0.0) < 1:
                    side = Side(settings, variant if variant == "graph" else "eager", *option)
                    timed[option] = min(seconds(side, 10 if settings["device"] == "cuda" else 2), timed.get(option, math.inf))
                    del side
    best = min(timed, key=timed.__getitem__)
    words = [variant, threads, best[0], f"{best[1]} Adam", *(["kernels of each sample in groups"] if best[2] else [])]
    return Side(settings, variant, *best), ", ".join(words)


def main(settings: dict[str, Any]) -> None:
    if settings["precision"] == "float64":
        torch.set_default_dtype(torch.float64)
    tf32 = settings["precision"] not in ("float32", "float64")
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    side, choices = tuned(settings, settings["variant"])
    if settings["device"] == "cuda":
        torch.cuda.reset_peak_memory_stats()
    serve(
        {
            "device": torch.cuda.get_device_name() if settings["device"] == "cuda" else "cpu",
            "versions": {"torch": torch.__version__},
            "parameters": sum(p.numel() for net in (side.g, side.d) for p in net.parameters()),
            "choices": f"torch {choices}",
            "threads": torch.get_num_threads(),
        },
        {"step": Task(side.train, side.wait)}
        | {f"sample {n}": Task(lambda count, n=n: side.draw(n, count), side.wait, each=True) for n in SAMPLES},
        {
            "reference": lambda inputs, path: reference(settings, inputs, path),
            "gemm": side.gemm,
            "memory": side.memory_peak,
        },
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
