"""The architecture, as far as a machine can read it: who may import whom, and what nobody may do."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxgan"

# A folder imports only from floors below its own; its files may import each other.
# A new folder fails until it is given a floor here.
FLOORS = {
    "system": 0,
    "core": 1,
    "data": 2,
    "toy": 2,
    "pictures": 2,
    "nets": 3,
    "weights": 4,
    "recipes": 4,
    "evaluation": 5,
    "training": 6,
    "latent": 7,
    "pages": 8,
    "publishing": 8,
    "commands": 9,
    "cli": 10,
    "__main__": 11,  # `python -m jaxgan`: one call of the command line
}
FACADE = "__init__"  # lazy re-exports, on no floor: nobody inside imports it

# Who alone may import what.
ONLY = {
    "flax": {"nets", "evaluation"},
    "tensorflow_datasets": {"data"},
    "grain": {"data"},
    "orbax": {"training"},
    "tyro": {"commands"},
    "onnx": {"publishing"},
    "onnxruntime": {"publishing"},
    "huggingface_hub": {"publishing"},
}
LAZILY = {
    "flax.nnx": "nets/nnx.py",
    "equinox": "nets/equinox.py",
    "starlette": "pages/answers.py",
    "uvicorn": "pages/server.py",
}  # in one file, inside its functions
NOBODY = ("tensorflow", "torch", "pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal")
PURE = ("core", "nets")


class Import(NamedTuple):
    module: str  # dotted, absolute; `from a import b` is a.b
    line: int
    at_start: bool  # when the file is imported, not when a function runs


class Source(NamedTuple):
    path: Path
    name: str  # what stands on a floor: the file, or the package it lies in
    tree: ast.Module

    def imports(self) -> list[Import]:
        inside = {id(node) for f in ast.walk(self.tree) if isinstance(f, FUNCTIONS) for node in ast.walk(f)}
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, node.lineno, id(node) not in inside) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                parents = self.path.relative_to(PACKAGE.parent).parent.parts
                start = [*parents[: len(parents) + 1 - node.level]] if node.level else []
                base = ".".join([*start, *([node.module] if node.module else [])])
                found += [Import(f"{base}.{alias.name}", node.lineno, id(node) not in inside) for alias in node.names]
        return found

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(PACKAGE.parent)}:{line}"


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def read(path: Path) -> Source:
    return Source(path, path.relative_to(PACKAGE).parts[0].removesuffix(".py"), ast.parse(path.read_text(encoding="utf-8")))


SOURCES = [read(path) for path in sorted(PACKAGE.rglob("*.py"))]
every_source = pytest.mark.parametrize("source", SOURCES, ids=[str(s.path.relative_to(PACKAGE)) for s in SOURCES])


def within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def local(module: str) -> str | None:
    """The file or package of ours that an import names; the facade when it is none."""
    if not within(module, "jaxgan"):
        return None
    first = module.split(".")[1:2]
    return first[0] if first and first[0] in FLOORS else FACADE


def test_every_file_has_a_floor():
    assert {source.name for source in SOURCES} - {FACADE} <= set(FLOORS)


@every_source
def test_imports_point_down(source):
    if source.name == FACADE:
        assert not any(within(each.module, "jaxgan") for each in source.imports())
        return
    for each in source.imports():
        name = local(each.module)
        if name is None or name == source.name:
            continue
        assert name != FACADE, f"{source.at(each.line)} imports {each.module} through the facade"
        assert FLOORS[name] < FLOORS[source.name], (
            f"{source.at(each.line)}: {source.name} (floor {FLOORS[source.name]}) imports {name} (floor {FLOORS[name]})"
        )


def test_no_cycles():
    known = {".".join(s.path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): s for s in SOURCES}
    edges: dict[str, set[str]] = {}
    for name, source in known.items():
        modules = [each.module for each in source.imports()]
        targets = {m if m in known else m.rpartition(".")[0] for m in modules if within(m, "jaxgan")}
        edges[name] = targets & set(known) - {name, "jaxgan"}
    left = dict(edges)
    while left:
        free = {name for name, targets in left.items() if not targets & set(left)}
        assert free, f"a cycle among {sorted(left)}"
        left = {name: targets for name, targets in left.items() if name not in free}


@every_source
def test_each_library_has_its_door(source):
    for each in source.imports():
        for library, allowed in ONLY.items():
            if within(each.module, library):
                assert source.name in allowed, f"{source.at(each.line)} imports {each.module}; only {sorted(allowed)} may"
        for library, file in LAZILY.items():
            if within(each.module, library):
                assert source.path == PACKAGE / file, f"{source.at(each.line)} imports {each.module}; only {file} may"
                assert not each.at_start, f"{source.at(each.line)} imports {each.module} at its start"
        for library in NOBODY:
            assert not within(each.module, library), f"{source.at(each.line)} imports {each.module}; nobody may"


def test_core_imports_jax_and_optax_only():
    allowed = {"jax", "optax", "numpy", "lazy_loader", "jaxgan.core", "jaxgan.system", *sys.stdlib_module_names}
    for source in (source for source in SOURCES if source.name == "core"):
        for each in source.imports():
            assert any(within(each.module, name) for name in allowed), source.at(each.line)


LIGHT = (
    "jaxgan.recipes",
    "jaxgan.commands.arguments",
    "jaxgan.commands.options",
    "jaxgan.commands.help",
    "jaxgan.commands.completion",
    "jaxgan.commands.values",
    "jaxgan.system.messages",
    "jaxgan.system.files",
    "jaxgan.system.environment",
)


def test_recipes_and_the_command_line_are_light():
    """They load the standard library and tyro alone; what is heavier loads when a part is built or a command runs."""
    files = [source for source in SOURCES if source.name in ("recipes", "cli", "__main__")]
    files += [
        source
        for source in SOURCES
        if source.path.name in ("arguments.py", "options.py", "values.py") and source.name == "commands"
    ]
    files += [
        source for source in SOURCES if source.path.relative_to(PACKAGE).as_posix() == "core/term.py"
    ]  # which they import
    assert len(files) > 16
    for source in files:
        for each in source.imports():
            known = any(within(each.module, module) for module in (*sys.stdlib_module_names, *LIGHT, "tyro"))
            ours = each.module in (
                "jaxgan.commands",
                "jaxgan.cli.main",
                "jaxgan.system",
                "jaxgan.system.files",
                "jaxgan.core.term.Term",
            )
            assert known or ours or not each.at_start, f"{source.at(each.line)} loads {each.module}"


def test_the_facade_defines_nothing():
    facade = next(source for source in SOURCES if source.path == PACKAGE / "__init__.py")
    kinds = [type(node) for node in facade.tree.body]
    assert kinds == [ast.Expr, ast.Import, ast.Assign, ast.Assign], "a docstring, the lazy loader, the version, one assignment"


def test_every_name_of_the_facade_is_there():
    import jaxgan

    assert {"make_gan", "from_linen", "load", "losses", "penalties", "nets"} <= set(jaxgan.__all__)
    for name in jaxgan.__all__:
        assert hasattr(jaxgan, name), name


BROAD = {"Exception", "BaseException"}


def dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


@every_source
def test_no_error_is_swallowed(source):
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{source.at(node.lineno)}: a bare except"
            silent = all(isinstance(statement, ast.Pass) for statement in node.body)
            assert not (silent and dotted(node.type) in BROAD), f"{source.at(node.lineno)}: except Exception: pass"
        if isinstance(node, ast.Call) and dotted(node.func) in ("contextlib.suppress", "suppress"):
            broad = BROAD & {dotted(argument) for argument in node.args}
            assert not broad, f"{source.at(node.lineno)}: suppresses {broad}"


@every_source
def test_nothing_untrusted_is_unpickled(source):
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant), source.at(node.value.lineno)
            assert node.value.value is False, source.at(node.value.lineno)
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in ("eval", "exec"), source.at(node.lineno)


# One writer, and one way to open: `system.files`; on top of it a reader for each format.
OPENERS = {"system/files.py", "system/debris.py"}
FORMATS = {
    "system/arrays.py": {"archive.open", "zipfile.ZipFile", "np.savez_compressed"},
    "system/images.py": {"Image.open"},
    "data/places.py": {"zipfile.ZipFile"},  # held open as long as pictures are read from it
    "data/originals.py": {"tarfile.open"},  # of what `files.opened` yields
    "weights/torch_file/containers.py": {"zipfile.ZipFile"},  # of bytes
    "data/cache.py": {"np.save"},  # into what `files.write` hands over; likewise the next
    "pictures/moving.py": {"shown[0].save", "av.open"},
    "pictures/writing.py": {"picture.save"},
    "pages/stills.py": {"kept.save"},  # into memory, likewise the next
    "pages/answers.py": {"np.savez"},
    "weights/portable.py": {"Path(path).read_bytes"},  # it must run without the rest of the library
    "data/preparation.py": {"Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save"},  # into memory
    "training/checkpoint/writing.py": {
        "(directory / str(other)).rename",
        "tempfile.TemporaryFile",
        "tempfile.TemporaryDirectory",
    },  # Orbax's
    "publishing/static/sample.py": {"Path(told.out).write_bytes", "np.save"},  # it runs without the rest of the library
    "publishing/runtime.py": {"tarfile.open"},  # of bytes
    "training/saving.py": {"tempfile.TemporaryFile"},  # room that is kept
    "system/lock.py": {"os.open"},  # holding it open is the lock
    "system/messages.py": {"os.open"},  # of the null device, in place of a closed stream
}
SAVERS = {
    "files.read_text",
    "safetensors.numpy.save",
    "checkpoints.save",
    "self._checkpoints.save",
    "saver.save",
    "weights.save",
    "checkpointer.save",
}  # of bytes, or of the library
TOUCH = {"open", "write_text", "write_bytes", "read_text", "read_bytes", "rename", "savefig", "fromfile", "tofile"}
TOUCH |= {
    "memmap",
    "save",
    "savez",
    "savez_compressed",
    "savetxt",
    "loadtxt",
    "genfromtxt",
    "save_file",
    "safe_open",
}
TOUCH |= {
    "ZipFile",
    "TarFile",
    "copyfile",
    "copytree",
    "NamedTemporaryFile",
    "TemporaryFile",
    "TemporaryDirectory",
    "mkdtemp",
    "mkstemp",
}
WHOLE = {
    "json.load",
    "json.loads",
    "json.dump",
    "np.load",
    "os.replace",
    "os.rename",
    "os.fdopen",
    "io.open",
    "shutil.copy",
    "shutil.move",
}


def touched(call: ast.Call) -> str | None:
    """The name of a call that opens, reads or writes a file, else None."""
    called = ast.unparse(call.func)
    plain = called.rpartition(".")[2]
    paths_replace = plain == "replace" and len(call.args) == 1 and not call.keywords  # a str's takes two
    return called if called in WHOLE or plain in TOUCH or paths_replace else None


@every_source
def test_files_are_read_and_written_in_one_place(source):
    file = str(source.path.relative_to(PACKAGE))
    if file in OPENERS:
        return
    allowed = SAVERS | FORMATS.get(file, set())
    found = {touched(node): node.lineno for node in ast.walk(source.tree) if isinstance(node, ast.Call)}
    for called, line in found.items():
        assert called is None or called in allowed, f"{source.at(line)} calls {called}; system/files.py is for it"
    unused = FORMATS.get(file, set()) - set(found)
    assert not unused, f"{file} does not call {unused} any more"


def test_what_touches_files_is_known():
    calls = [
        "open(x)",
        "path.open('rb')",
        "np.load(x)",
        "part.replace(path)",
        "json.loads(x)",
        "image.save(path)",
        "shutil.move(a, b)",
    ]
    assert all(touched(ast.parse(each, mode="eval").body) for each in calls)
    assert not any(
        touched(ast.parse(each, mode="eval").body) for each in ("text.replace('a', 'b')", "replace(x, y=1)", "json.dumps(x)")
    )


@every_source
def test_no_pmap_and_no_jit_among_the_pure(source):
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            assert dotted(node) != "jax.pmap", source.at(node.lineno)
            if source.name in PURE:
                assert dotted(node) not in ("jax.jit", "jax.device_put", "print"), source.at(node.lineno)


@every_source
def test_no_checker_is_silenced(source):
    for number, line in enumerate(source.path.read_text(encoding="utf-8").splitlines(), 1):
        assert not re.search(r"#\s*(noqa|type:\s*ignore|pyright:|mypy:|ruff:|pragma)", line), source.at(number)


def test_help_loads_neither_jax_nor_data_sets():
    command = [sys.executable, "-X", "importtime", "-m", "jaxgan", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "train" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "tyro" in loaded  # so that this test knows how to read
    heavy = ("jax", "jaxlib", "flax", "optax", "orbax", "tensorflow_datasets", "grain", "sklearn", "matplotlib", "PIL", "numpy")
    assert not {module for module in loaded if any(within(module, name) for name in heavy)}
