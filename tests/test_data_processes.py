"""Two processes of two devices each draw the batches that one process draws."""

import os
import socket
import subprocess
import sys

import pytest

DRAW = """
import hashlib, sys
import jax, numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxgan import data

process, processes, port = map(int, sys.argv[1:])
if processes > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=processes, process_id=process)
mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
whole = jax.jit(lambda batch: batch, out_shardings=NamedSharding(mesh, PartitionSpec()))
for stream in (False, True):
    draw = data.load("digits", stream=stream).batches(0, 64, NamedSharding(mesh, PartitionSpec("data")))
    for step, steps in ((0, 1), (1, 1), (40, 2)):
        for value in whole(draw(step, steps)).values():
            content = np.asarray(value.addressable_data(0)).tobytes()
            print("digest", hashlib.sha256(content).hexdigest())
"""


def start(process, processes, port, cache):
    environment = os.environ | {"JAXGAN_CACHE": str(cache)}  # with two devices, as here
    command = [sys.executable, "-c", DRAW, str(process), str(processes), str(port)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def digests(running):
    output, errors = running.communicate(timeout=300)
    assert running.returncode == 0, errors
    return [line for line in output.splitlines() if line.startswith("digest")]


@pytest.mark.slow
def test_batches_do_not_depend_on_the_number_of_processes(tmp_path):
    alone = digests(start(0, 1, 0, tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = [start(process, 2, port, tmp_path) for process in range(2)]
    assert len(alone) == 12
    assert alone[:6] == alone[6:]
    assert [digests(running) for running in pair] == [alone, alone]
