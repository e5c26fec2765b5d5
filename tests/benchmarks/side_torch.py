"""The same DCGAN in PyTorch, as fast as its own means make it; started by step_time.py.

Tuned: one G(z) for both updates, D's parameters frozen in G's update, gradients set to None, nothing read back. The number of
threads, the memory format and the kind of Adam (foreach or fused) are whichever combination is fastest here. On CUDA cudnn
chooses its algorithms by trial; `compile` compiles both networks, `graph` replays the whole step as one CUDA graph.
Unlike jaxgan's step, this one keeps no averaged generator and computes no gradient norms.
"""

import itertools
import json
import math
import os
import sys
import time

import torch
from torch import nn
from torch.nn.functional import softplus
from turns import Task, serve


def generator(size: int, width: int) -> nn.Sequential:
    widths = [width * size // 8 // 2**i for i in range(size.bit_length() - 3)]
    layers: list[nn.Module] = [nn.ConvTranspose2d(100, widths[0], 4, 1, 0, bias=False)]
    for inputs, outputs in zip(widths, [*widths[1:], 3], strict=True):
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(True), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
    return nn.Sequential(*layers, nn.Tanh())


def discriminator(size: int, width: int) -> nn.Sequential:
    widths = [width * 2**i for i in range(size.bit_length() - 3)]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Flatten(0))


class Side:
    def __init__(self, size: int, width: int, batch: int, device: str, variant: str, layout: str, adam: str) -> None:
        torch.manual_seed(0)
        self.device, self.count, self.variant, self.graph = device, batch, variant, None
        memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.g = generator(size, width).to(device, memory_format=memory)
        self.d = discriminator(size, width).to(device, memory_format=memory)
        for module in (*self.g.modules(), *self.d.modules()):
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, 0.0, 0.02)
        self.g_call, self.d_call = self.g, self.d
        if variant == "compile":
            self.g_call, self.d_call = torch.compile(self.g), torch.compile(self.d)
        self.real = torch.tanh(torch.randn(batch, 3, size, size, device=device)).contiguous(memory_format=memory)
        options = {"lr": 2e-4, "betas": (0.5, 0.999), adam: True, "capturable": variant == "graph"}
        self.g_adam, self.d_adam = (torch.optim.Adam(net.parameters(), **options) for net in (self.g, self.d))
        if variant == "graph":
            self.capture()

    def latents(self, count: int) -> torch.Tensor:
        return torch.randn(count, 100, 1, 1, device=self.device)

    def step(self) -> None:
        self.d_adam.zero_grad(set_to_none=True)
        self.g_adam.zero_grad(set_to_none=True)
        fake = self.g_call(self.latents(self.count))
        (softplus(-self.d_call(self.real)).mean() + softplus(self.d_call(fake.detach())).mean()).backward()
        self.d_adam.step()
        self.d.requires_grad_(False)
        softplus(-self.d_call(fake)).mean().backward()
        self.d.requires_grad_(True)
        self.g_adam.step()

    def capture(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()

    def train(self, count: int) -> None:
        self.g.train()
        for _ in range(count):
            if self.graph is None:
                self.step()
            else:
                self.graph.replay()

    def draw(self, images: int, count: int) -> None:
        self.g.eval()
        with torch.inference_mode():
            for _ in range(count):
                self.g_call(self.latents(images))

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def seconds(side: Side, steps: int) -> float:
    side.train(1)
    side.wait()
    start = time.perf_counter()
    side.train(steps)
    side.wait()
    return (time.perf_counter() - start) / steps


def tuned(size: int, width: int, batch: int, device: str, variant: str) -> tuple[Side, str]:
    """The fastest of threads x memory format x kind of Adam: the best of three rounds, so that no option meets a bad moment."""
    most = len(os.sched_getaffinity(0))
    threads = sorted({1, max(1, most // 2), most}) if device == "cpu" else [torch.get_num_threads()]
    timed: dict[tuple[int, str, str], float] = {}
    for _ in range(3):
        for option in itertools.product(threads, ("contiguous", "channels_last"), ("foreach", "fused")):
            torch.set_num_threads(option[0])
            side = Side(size, width, batch, device, "eager" if variant == "compile" else variant, *option[1:])
            timed[option] = min(seconds(side, 2 if device == "cpu" else 50), timed.get(option, math.inf))
    best = min(timed, key=timed.__getitem__)
    torch.set_num_threads(best[0])
    return Side(size, width, batch, device, variant, *best[1:]), f"{variant}, {best[0]} threads, {best[1]}, {best[2]} Adam"


def main(size: int, width: int, batch: int, device: str, precision: str, variant: str) -> None:
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    side, choices = tuned(size, width, batch, device, variant)
    for call in (lambda: side.train(3), lambda: side.draw(batch, 3), lambda: side.draw(1, 3)):
        call()  # compiled variants compile here
    side.wait()
    serve(
        {
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "versions": {"torch": torch.__version__},
            "parameters": sum(p.numel() for net in (side.g, side.d) for p in net.parameters()),
            "choices": choices,
            "threads": torch.get_num_threads(),
        },
        {
            "step": Task(side.train, side.wait),
            "sample": Task(lambda count: side.draw(batch, count), side.wait, each=True),
            "sample one": Task(lambda count: side.draw(1, count), side.wait, each=True),
        },
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
