"""What `--shard` saves and what it sends: bytes on each device and collectives of a step, as XLA has compiled it.

    python tests/benchmarks/sharding.py [--devices 8] [--width 128] [--forms cpu|accelerators] [--record]

An R3GAN at 32 pixels over virtual CPU devices; nothing is run. `state` is what lies on a device between steps; a collective's
bytes are those of its result on one device. `--forms accelerators` compiles the convolutions as they are on GPUs and TPUs.
"""

import argparse
import os
import re
import shlex
import sys

from sides import machine_words, record, table

SIZES = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "pred": 1, "f64": 8}
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
HEADER = ["--shard", "state, MiB", "temporary, MiB", *(f"{kind}: count, MiB" for kind in KINDS)]


def collectives(text: str) -> dict[str, tuple[int, int]]:
    """Count and bytes of each kind in a compiled module."""
    found = dict.fromkeys(KINDS, (0, 0))
    for result, kind in re.findall(rf"^ *(?:ROOT )?%\S+ = (.*?) ({'|'.join(KINDS)})(?:-start)?\(", text, re.MULTILINE):
        size = 0
        for dtype, dims in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", result):
            count = 1
            for dim in filter(None, dims.split(",")):
                count *= int(dim)
            size += count * SIZES.get(dtype, 4)
        found[kind] = (found[kind][0] + 1, found[kind][1] + size)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--forms", choices=("cpu", "accelerators"), default="cpu", help="of the convolutions")
    parser.add_argument("--record", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={options.devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import dataclasses

    import jax
    import numpy as np

    from jaxgan import data
    from jaxgan.recipes import preset
    from jaxgan.training import loop
    from jaxgan.training.experiment import build

    if options.forms == "accelerators":
        jax.lax.platform_dependent = lambda *arguments, default, **_: default(*arguments)
    recipe = preset("r3gan_small")
    sizes = {"widths": (options.width,) * 4, "groups": (options.width // 8,) * 4, "bfloat16_levels": 0}
    recipe = dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, conditional=False),
        generator=dataclasses.replace(recipe.generator, **sizes),
        discriminator=dataclasses.replace(recipe.discriminator, **sizes),
        batch_size=8 * options.devices,
        augment="",
        augment_strength=1.0,
        final_augment_strength=None,
    )
    dataset = data.from_array(np.zeros((1_024, 32, 32, 3), np.uint8), name="noise")
    rows, parameters = [], 0
    for shard in ("none", "optimizer", "state"):
        each = dataclasses.replace(recipe, shard=shard)
        experiment = build(each, dataset=dataset)
        prepared = loop.prepare(experiment)
        leaves = jax.tree.leaves(prepared.abstract)
        state = sum(np.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)
        parameters = sum(x.size for x in jax.tree.leaves((prepared.abstract.g.params, prepared.abstract.d.params)))
        batch = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), prepared.batches(0, each.steps_per_dispatch)
        )
        advance = loop.program(prepared, experiment)
        compiled = jax.jit(lambda state, batch, advance=advance: advance(state, batch, 1), donate_argnums=0)
        compiled = compiled.lower(prepared.abstract, batch).compile()
        temporary = compiled.memory_analysis().temp_size_in_bytes
        sent = collectives(compiled.as_text())
        told = [f"{count}, {size / 2**20:.1f}" if count else "" for count, size in sent.values()]
        rows.append([shard, f"{state / 2**20:.1f}", f"{temporary / 2**20:.0f}", *told])
        print(*rows[-1], sep=" | ", flush=True)
    versions = {"jax": jax.__version__}
    where = (
        f"R3GAN-32 of width {options.width}, {parameters:,} parameters, batch {recipe.batch_size}, {options.devices} devices"
    )
    where += f". {machine_words('cpu', 'cpu', versions)}"
    text = "\n\n".join(
        [
            f"### What cutting the state over the devices saves and sends, in the forms of {options.forms}",
            f"`python tests/benchmarks/sharding.py {shlex.join(sys.argv[1:])}`: {where}.",
            table(HEADER, rows),
        ]
    )
    print(text)
    if options.record:
        record(f"sharding {options.forms}", text)


if __name__ == "__main__":
    main()
