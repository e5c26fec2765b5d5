"""Loads each exported form in a new virtual environment with what it promises to need only, and times it; run by hand:

    python tests/fresh_environments.py RUN [RUN ..] --runtime package

It installs from the package index, and prints a table: form, size, needs, seconds from a process's start to the first image.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import browser

from jaxgan.commands.export import export

READ = {
    "safetensors": "from safetensors.numpy import load_file; assert load_file({file!r})",
    "jaxgan": "import portable; print(portable.load({file!r})(n=1, seed=0).images.mean())",
    "onnx": """
import numpy, onnxruntime
session = onnxruntime.InferenceSession({file!r}, providers=["CPUExecutionProvider"])
forms = {{each.name: each for each in session.get_inputs()}}
z = numpy.random.default_rng(0).normal(size=(1, forms["z"].shape[1])).astype("float32")
given = {{"z": z, "labels": numpy.zeros(1, "int32")}}
print(session.run(None, {{name: given[name] for name in forms}})[0].mean())
""",
}
NEEDS = {"safetensors": ["safetensors", "numpy"], "jaxgan": ["jax", "numpy", "flatbuffers"], "onnx": ["onnxruntime", "numpy"]}


def environment(place: Path, form: str) -> Path:
    """Returns the interpreter of a new virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", str(place / form)], check=True, timeout=120)
    python = place / form / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS[form]], check=True, timeout=600)
    return python


def seconds(python: Path, code: str, folder: Path) -> float:
    """Returns the median of three runs of a process."""
    told = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([python, "-c", code], cwd=folder, check=True, timeout=300, stdout=subprocess.DEVNULL)
        told.append(time.perf_counter() - began)
    return statistics.median(told)


def page_seconds(folder: Path) -> float:
    """Returns the seconds from opening a page to its first pictures, which are sixteen."""
    with browser.files(folder) as url, browser.page("about:blank") as page:
        began = time.perf_counter()
        page.open(url)
        page.wait("document.body.dataset.drawn", 120)
        return time.perf_counter() - began


def row(run: Path, form: str, size: int, needs: list[str], took: float) -> str:
    """Returns a line of the table."""
    return f"| {run.name} | {form} | {size / 1e6:.2f} MB | {', '.join(needs)} | {took:.2f} s |"


def main() -> None:
    """Exports, installs, reads, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--runtime", type=Path, default=None)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        interpreters = {form: environment(place, form) for form in READ}
        for run in told.runs:
            folder = place / f"exported-{run.name}"
            folder.mkdir()
            hub = export(run, out=folder / "hub", form="hub")
            page = export(run, out=folder / "page", form="page", runtime=told.runtime)
            forms = [
                ("safetensors", "float32"),
                ("jaxgan", "float32"),
                *(("onnx", each) for each in ("float32", "float16", "int8")),
            ]
            for form, precision in forms:
                of = {"precision": precision} if form == "onnx" else {}
                file = export(run, out=folder / f"{precision}.{form}", **of)
                took = seconds(interpreters[form], READ[form].format(file=str(file)), hub)
                print(row(run, f".{form} {precision}", file.stat().st_size, NEEDS[form], took))
            for name, where in (("hub", hub), ("page", page)):
                size = sum(each.stat().st_size for each in where.rglob("*") if each.is_file())
                code = (
                    "import runpy, sys; sys.argv = ['sample.py', '--n', '1']; runpy.run_path('sample.py', run_name='__main__')"
                )
                took = page_seconds(where) if name == "page" else seconds(interpreters["jaxgan"], code, where)
                print(row(run, name, size, ["a browser"] if name == "page" else NEEDS["jaxgan"], took))


if __name__ == "__main__":
    main()
