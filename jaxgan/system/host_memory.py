"""The machine's memory under XLA's CPU programs: kept when freed, and on large pages."""

import ctypes
import os
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec

# Of glibc's mallopt.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_HUGEPAGE = 14  # of madvise
_LARGE, _PAGE = 2**21, 2**12  # bytes of the pages
_MOST = 2**36


def keep() -> bool:
    """Lets this process keep the memory that it has freed, on large pages, until it ends.

    XLA asks for all buffers of a step anew at each step, and on CPU the C library hands so large a block back to the system
    each time: its pages, of 4 KiB, are then given, cleared and looked up one by one. With this a DCGAN's step on two cores
    takes 0.9 of the time (`tests/benchmarks/step_time.py --peers small_pages`).

    Call it before JAX computes anything; the command line does where programs run on CPU. It acts on Linux with glibc, and
    not where the environment chooses otherwise, with `GLIBC_TUNABLES`, `LD_PRELOAD` or a `MALLOC_` variable.

    Returns:
        True if it acts.
    """
    chosen = [name for name in os.environ if name in ("GLIBC_TUNABLES", "LD_PRELOAD") or name.startswith("MALLOC_")]
    if sys.platform != "linux" or chosen:
        return False
    import resource  # which other systems lack

    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    # One heap for all threads, that grows as a whole and never shrinks; nothing is mapped apart from it.
    options = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1, _TOP_PAD: 2**26}
    if not all(library.mallopt(name, value) for name, value in options.items()):
        return False
    # Only addresses, no memory: a block that is freed untouched, so that the heap is long and can be advised once.
    size = min(_MOST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY  # of addresses, where they are none too many
    block = None if limited else library.malloc(size)
    if block:
        start = -(-block // _LARGE) * _LARGE
        library.madvise(start, (block + size - start) // _PAGE * _PAGE, _HUGEPAGE)
        library.free(block)
    return True


def programs_run_here() -> bool:
    """Tells whether JAX will compute on CPU, as far as can be told without starting it.

    Returns:
        True if `JAX_PLATFORMS` names the CPU first, or is not set and no accelerator's plugin is installed.
    """
    asked = os.environ.get("JAX_PLATFORMS", "")
    if asked:
        return asked.split(",")[0] == "cpu"
    return not (find_spec("jax_plugins") or find_spec("libtpu") or entry_points(group="jax_plugins"))
