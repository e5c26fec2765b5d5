"""Files that hold one generator, by their endings: the uses of each, and the place of what is made from one."""

from pathlib import Path
from typing import NamedTuple

from jaxgan.system import files
from jaxgan.system.messages import FieldError


class Form(NamedTuple):
    """The form of a file that holds one generator."""

    holds: str  # in words, for messages
    samples: bool  # the library draws from it
    derivatives: bool  # the library finds latents, morphs and directions with it


FORMS = {
    ".safetensors": Form("weights that PyTorch and JAX read", samples=True, derivatives=True),
    ".jaxgan": Form("a program that JAX runs without this library", samples=True, derivatives=False),
    ".onnx": Form("a program that onnxruntime runs", samples=False, derivatives=False),
}


def form_of(path: Path) -> Form | None:
    """Returns the form of a file by its ending; None for a run, which is a folder."""
    return None if path.is_dir() else FORMS.get(path.suffix)


def beside(path: str | Path, name: str) -> Path:
    """Returns the path of a file made from a generator: `RUN/NAME` in a run, `STEM-NAME` beside a file."""
    path = files.home_expanded(path, "run")
    return path / name if form_of(path) is None else path.with_name(f"{path.stem}-{name}")


def checked(
    path: Path, *, derivatives: bool = False, member: int = 0, best: bool = False, trust_run_code: bool = False
) -> Form | None:
    """Returns the form of a file to draw from; None for a run.

    Args:
        path: of a run or a file, without `~`.
        derivatives: require a file whose generator has derivatives.
        member: of several GANs, the one to take; like the next two, only for runs.
        best: take the checkpoint that `keep_best` keeps.
        trust_run_code: execute the code that a run carries.

    Raises:
        FileNotFoundError: when the form cannot be used so and there is no such file.
        FieldError: for a form that cannot be used so, or an argument that is for runs.
    """
    form = form_of(path)
    if form is None:
        return None
    if not (form.derivatives if derivatives else form.samples):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        raise _refused(path, derivatives)
    for name, given in (("member", member), ("best", best), ("trust_run_code", trust_run_code)):
        if given:
            raise FieldError(name, given, f"{path.name} holds one generator without a run; it is for runs")
    return form


def _refused(path: Path, derivatives: bool) -> FieldError:
    able = [suffix for suffix, form in FORMS.items() if (form.derivatives if derivatives else form.samples)]
    take = f"it must be a run or a {' or '.join(able)} file"
    if path.suffix == ".onnx":
        return FieldError("run", path.name, f"{take}; onnxruntime.InferenceSession({path.name!r}) runs this one")
    return FieldError("run", path.name, f"its programs have no derivatives and no styles; {take}")
