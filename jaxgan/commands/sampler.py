"""A sampler out of any form that a generator is kept in: a run, `.safetensors`, `.jaxgan`."""

from pathlib import Path

from jaxgan.system import environment, files
from jaxgan.weights import generator_files, portable
from jaxgan.weights.portable import SIZES, Sampler


@environment.fixed()
def load_sampler(
    path: str | Path,
    *,
    batch: int = SIZES[-1],
    member: int = 0,
    best: bool = False,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Sampler:
    """Reads an averaged generator, ready to draw: `sampler(n=16, seed=0, labels=3)`.

    No optimizer and no discriminator is built or read. Sample i of a seed is the same from each form, whatever the number
    drawn, up to rounding. Threads may share a sampler.

    Args:
        path: a run, or the `.safetensors` or `.jaxgan` file of one.
        batch: most samples made at a time; it does not change them.
        member: of a run of several GANs, the one to take.
        best: of the checkpoint that `keep_best` keeps rather than of the last.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        A `Sampler`, `(n, seed, labels, z, truncation, condition) -> Samples`.

    Raises:
        FileNotFoundError: when there is no such run or file.
        ValueError: in one line, when it is damaged, has a newer format or a form that onnxruntime runs, or when an argument is
            for another form.
    """
    path = files.home_expanded(path, "run")
    form = generator_files.checked(path, member=member, best=best, trust_run_code=trust_run_code)
    if form is None:
        from jaxgan.recipes.record import Allowed
        from jaxgan.training import runs

        run = runs.read(path, Allowed(None if code is None else Path(code), trust_run_code))
        return run.sampler(member=member, best=best, strict=strict, batch=batch)
    if not form.derivatives:
        return portable.of_bytes(files.read(path), str(path), batch=batch, draw=_as_png)
    from jaxgan.recipes.record import Allowed
    from jaxgan.training import sampler, tensors

    generator, weights = tensors.generator(path, Allowed(None if code is None else Path(code)))
    return sampler.sampler(generator, weights, batch=batch)


def _as_png(samples: portable.Samples) -> bytes:
    from jaxgan.training import sampler

    return sampler.as_png(samples)
