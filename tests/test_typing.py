"""mypy checks a user's functions against the protocols: it accepts typing_examples.py and refuses each of these."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import typing_examples

EXAMPLES = Path(typing_examples.__file__)
HEAD = """
from typing import Any
import jax
from jaxgan.core import types as t
Array = jax.Array
"""
REFUSED = {
    "init without a key": """
        def init() -> tuple[Any, Any]: ...
        wrong: t.NetworkInit = init""",
    "init returns params alone": """
        def init(key: Array) -> Array: ...
        wrong: t.NetworkInit = init""",
    "apply without stats": """
        def apply(params: Any, x: Array, labels: Array, key: Array, *, train: bool) -> tuple[Array, Any]: ...
        wrong: t.NetworkApply = apply""",
    "apply without train": """
        def apply(params: Any, stats: Any, x: Array, labels: Array, key: Array) -> tuple[Array, Any]: ...
        wrong = t.Network(lambda key: ({}, {}), apply)""",
    "apply returns no stats": """
        def apply(params: Any, stats: Any, x: Array, labels: Array, key: Array, *, train: bool) -> Array: ...
        wrong: t.NetworkApply = apply""",
    "a mapping that cannot truncate": """
        def styles(params: Any, stats: Any, z: Array, labels: Array, key: Array, *, train: bool) -> tuple[Array, Any]: ...
        wrong: t.StyleMap = styles""",
    "a synthesis that returns stats": """
        def images(params: Any, stats: Any, w: Array, key: Array, *, train: bool) -> tuple[Array, Any]: ...
        wrong: t.Synthesis = images""",
    "a loss of one argument": """
        wrong = t.Loss(d=lambda real: real, g=lambda real, fake: -fake)""",
    "a loss that returns a number": """
        def d(real: Array, fake: Array) -> float: ...
        wrong: t.LossFunction = d""",
    "a critic of params": """
        def critic(params: Any, x: Array) -> Array: ...
        wrong: t.Critic = critic""",
    "a penalty without a key": """
        def penalty(critic: t.Critic, real: Array, fake: Array) -> Array: ...
        wrong: t.Penalty = penalty""",
    "a penalty whose critic takes params": """
        from collections.abc import Callable
        def penalty(critic: Callable[[Any, Array], Array], real: Array, fake: Array, key: Array) -> Array: ...
        wrong: t.Penalty = penalty""",
    "an augmentation without a strength": """
        def augment(key: Array, images: Array) -> Array: ...
        wrong: t.Augment = augment""",
    "a distribution without a shape": """
        def latent(key: Array) -> Array: ...
        wrong: t.LatentDistribution = latent""",
    "a schedule in whole steps": """
        def schedule(step: int) -> Array: ...
        wrong: t.Schedule = schedule""",
    "a feature net of two results": """
        def features(images: Array) -> tuple[Array, Array]: ...
        wrong: t.FeatureNet = features""",
    "a penalty on G without an average": """
        def apply(params: Any, stats: Any, z: Array, labels: Array, key: Array) -> tuple[Array, Array]: ...
        wrong: t.GPenaltyApply = apply""",
    "sampling from latents": """
        def draw(gan: t.GAN, z: Array, key: Array, labels: Array) -> Array:
            return gan.sample(z, key, labels)""",
}


def test_mypy_accepts_the_examples_and_refuses_the_others(tmp_path: Path) -> None:
    files = {name: tmp_path / f"wrong_{i}.py" for i, name in enumerate(REFUSED)}
    for name, path in files.items():
        path.write_text(HEAD + "\n".join(line[8:] for line in REFUSED[name].split("\n")) + "\n")
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--cache-dir", str(tmp_path / "cache")]
    command += ["--disable-error-code", "empty-body", "--follow-imports", "silent", "--ignore-missing-imports"]
    done = subprocess.run([*command, str(EXAMPLES), *map(str, files.values())], capture_output=True, text=True, check=False)
    wrong = {}
    for line in done.stdout.splitlines():
        if match := re.match(r"(.+?):(\d+): error: (.*)", line):
            wrong.setdefault(Path(match[1]).name, []).append(match[3])
    assert EXAMPLES.name not in wrong, wrong[EXAMPLES.name]
    assert set(wrong) == {path.name for path in files.values()}, done.stdout + done.stderr
    assert all(len(errors) == 1 for errors in wrong.values()), done.stdout


def test_the_examples_train() -> None:
    gan, batch = typing_examples.gan, {"image": jnp.ones((4, 2)), "label": jnp.zeros(4, jnp.int32)}
    state, info = gan.step(gan.init(jax.random.key(0)), batch, jax.random.key(1))
    assert all(bool(jnp.isfinite(value)) for value in info.values())
    assert gan.sample(state.ema, jax.random.key(2), batch["label"]).shape == (4, 2)
