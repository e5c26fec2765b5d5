"""The runtime of a page: three files of the npm package onnxruntime-web, from a folder or fetched by npm."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

from jaxgan.system import files
from jaxgan.system.messages import FieldError

PACKAGE, VERSION = "onnxruntime-web", "1.22.0"
SCRIPT = "ort.wasm.min.mjs"
_FILES = (SCRIPT, "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
# Of that version, MIT licence.
_SHA256 = {
    "ort.wasm.min.mjs": "6ef726f355b791129f7ddf3f62e7877a16b9b777abe87004b8ab306e6b9cf265",
    "ort-wasm-simd-threaded.mjs": "30dd851d9c00622940500f71ddd2ff8820c5cb65270816080175b958705385a8",
    "ort-wasm-simd-threaded.wasm": "71aef04959c5c1b6de461b6538e2058e306610034a85aad2742d0c7fd4533fe4",
}
_SECONDS = 300
_MOST = 2**28  # bytes of a file of it
_ELSEWHERE = (
    f"on a machine with npm, npm pack {PACKAGE}@{VERSION} and tar xzf make the folder package, which --runtime package names"
)


class Runtime(NamedTuple):
    """The files of a runtime by name, and its version."""

    contents: dict[str, bytes]
    version: str


def of(folder: Path | None) -> Runtime:
    """Returns the runtime of a folder; without one, of the package that npm fetches.

    Raises:
        FieldError: when the folder is no onnxruntime-web, or there is no npm or no answer; with what to do instead.
    """
    return _fetched() if folder is None else _unpacked(folder)


def _unpacked(folder: Path) -> Runtime:
    folder = files.home_expanded(folder, "runtime")
    try:
        about = files.read_json(folder / "package.json")
        if not isinstance(about, dict) or about.get("name") != PACKAGE:
            raise FieldError("runtime", folder, f"it must be an unpacked package {PACKAGE}: {_ELSEWHERE}")
        contents = {name: files.read(folder / "dist" / name, most=_MOST) for name in _FILES}
    except (files.Unreadable, OSError) as error:
        words = f"it must be an unpacked package {PACKAGE} ({files.told(error)}): {_ELSEWHERE}"
        raise FieldError("runtime", folder, words) from error
    return Runtime(contents, str(about.get("version", "unknown")))


def _fetched() -> Runtime:
    npm = shutil.which("npm")
    if npm is None:
        raise FieldError("runtime", "no npm on the path to fetch it", _ELSEWHERE, link="; ")
    with files.scratch(files.cache_folder()) as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(folder)]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FieldError("runtime", f"npm did not fetch it ({files.told(error)})", _ELSEWHERE, link="; ") from error
        packed = sorted(folder.glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            told = " ".join(done.stderr.split())[:200] or f"status {done.returncode}"
            raise FieldError("runtime", f"npm did not fetch it ({told})", _ELSEWHERE, link="; ")
        contents = _members(files.read(packed[0], most=_MOST))
    for name, content in contents.items():
        if files.sha256(content) != _SHA256[name]:
            raise FieldError(
                "runtime", f"{name} that npm fetched has another sha256 than that of {VERSION}", _ELSEWHERE, link="; "
            )
    return Runtime(contents, VERSION)


def _members(content: bytes) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for name in _FILES:
                member = archive.extractfile(f"package/dist/{name}")
                found[name] = b"" if member is None else member.read(_MOST)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise FieldError(
            "runtime", f"the package that npm fetched is damaged ({files.told(error)})", _ELSEWHERE, link="; "
        ) from error
    return found
