"""Memory that is kept when freed: it costs its page faults once, and only where the environment leaves it to us."""

import os
import subprocess
import sys

import pytest

from jaxgan.system import host_memory

FAULTS = """
import ctypes, resource, threading
from jaxgan.system import host_memory
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes, library.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
kept = host_memory.keep() if {keep} else None

def touch():
    block = library.malloc(2**28)
    ctypes.memset(block, 1, 2**28)
    library.free(block)

def faults():
    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        touch()
    print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=faults)  # as XLA's programs run
thread.start()
thread.join()
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the C library is another")


def run(keep: bool, **environment: str) -> tuple[str, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    words = [sys.executable, "-c", FAULTS.format(keep=keep)]
    done = subprocess.run(words, env=clean | environment, capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept, int(faults)


@linux_only
def test_a_block_that_was_freed_is_had_again_without_page_faults():
    kept, faults = run(keep=True)
    if kept == "False":
        pytest.skip("not glibc")
    assert faults < 100
    assert run(keep=False)[1] > 400  # what it is there for: 4 x 256 MiB anew, at the least in 512 large pages


@linux_only
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_who_chose_otherwise_is_left_alone(name):
    assert run(keep=True, **{name: "2" if name.startswith("MALLOC") else "glibc.malloc.arena_max=2"})[0] == "False"


def test_whether_programs_run_on_cpu_is_told_without_starting_them(monkeypatch):
    for asked, here in (("cpu", True), ("cpu,cuda", True), ("cuda,cpu", False), ("tpu", False)):
        monkeypatch.setenv("JAX_PLATFORMS", asked)
        assert host_memory.programs_run_here() is here
