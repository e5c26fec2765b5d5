"""What is saved comes back bit for bit, or is refused by name."""

import json
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.core.types import GANState, Player, Weights
from jaxgan.training import checkpoint


def make_state(step: int, width: int = 8) -> GANState:
    """A state with every kind of leaf there is: floats, bfloat16, integers, booleans, typed keys, optax's states."""
    rng = np.random.default_rng(step)

    def player() -> Player:
        params = {
            "Dense_0": {"kernel": rng.normal(size=(width, 32)).astype(np.float32), "bias": np.zeros(width, np.float32)},
            "half": jnp.asarray(rng.normal(size=width), jnp.bfloat16),
        }
        params = jax.tree.map(jnp.asarray, params)
        stats = {"key": jax.random.key(step), "flags": jnp.asarray(rng.random(5) < 0.5), "empty": {}}
        return Player(params, stats, optax.adam(1e-3).init(params))

    g, d = player(), player()
    return GANState(jnp.asarray(step, jnp.int32), g, d, jax.tree.map(jnp.copy, Weights(g.params, {})), {})


def raw(tree: object) -> list[np.ndarray]:
    keyed = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(tree)]
    return [np.asarray(x) for x in keyed]


def same(a: object, b: object) -> bool:
    pairs = list(zip(raw(a), raw(b), strict=True))
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs
    )


def abstract(width: int = 8) -> GANState:
    return jax.eval_shape(lambda: make_state(0, width))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints 1 and 2, once; tests that damage them work on copies."""
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    with checkpoint.open_checkpoints(directory) as checkpoints:
        checkpoints.save(make_state(1))
        checkpoints.save(make_state(2))
    return directory


@pytest.fixture
def directory(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def test_round_trip_of_every_kind_of_leaf(directory):
    assert checkpoint.saved_steps(directory) == [1, 2]
    assert same(checkpoint.restore(directory, abstract()), make_state(2))
    assert same(checkpoint.restore(directory, abstract(), step=1, strict=True), make_state(1))


def test_the_generator_is_restored_from_its_own_item_alone(directory):
    shutil.rmtree(directory / "2" / "state")
    ema, step = checkpoint.restore_generator(directory, abstract().ema)
    assert step == 2
    assert same(ema, make_state(2).ema)


def test_the_latest_are_kept_and_a_save_during_a_save_is_not_skipped(tmp_path):
    with checkpoint.open_checkpoints(tmp_path / "a" / "b", keep=2) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(make_state(step))
        checkpoints.wait()
        assert checkpoints.steps() == [4, 5]
    assert same(checkpoint.restore(tmp_path / "a" / "b", abstract()), make_state(5))


def test_buffers_may_be_donated_as_soon_as_save_returns(tmp_path):
    @jax.jit
    def grown(key):
        return jax.random.normal(key, (512, 1024))

    def state(step, x):
        return GANState(jnp.asarray(step, jnp.int32), Player({"x": x}, {}, {}), Player({}, {}, {}), Weights({}, {}), {})

    overwrite = jax.jit(lambda x: x + 1.0, donate_argnums=0)
    x = grown(jax.random.key(0))
    with checkpoint.open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state(1, x))
        y = overwrite(x)
        for _ in range(10):
            y = overwrite(y)
        y.block_until_ready()
    restored = checkpoint.restore(tmp_path, jax.eval_shape(lambda: state(1, y)), strict=True)
    np.testing.assert_array_equal(restored.g.params["x"], grown(jax.random.key(0)))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_restores_on_another_number_of_devices(tmp_path, before, after):
    def replicated(count):
        mesh = Mesh(np.array(jax.devices()[:count]), ("data",), axis_types=(AxisType.Auto,))
        return NamedSharding(mesh, PartitionSpec())

    state = make_state(3)
    with checkpoint.open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(jax.device_put(state, replicated(before)))
    restored = checkpoint.restore(tmp_path, abstract(), sharding=replicated(after), strict=True)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(restored)} == {after}
    assert same(restored, state)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(checkpoint.restore(tmp_path, abstract()))} == {1}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int32", "uint8", "int8", "bool", "float8_e4m3fn"])
def test_checksum_sees_every_bit_and_every_place(dtype):
    dtype = jnp.dtype(dtype)
    rng = np.random.default_rng(0)
    x = np.asarray(rng.integers(0, 2, 24), bool) if dtype.kind == "b" else rng.integers(0, 256, 24 * dtype.itemsize, np.uint8)
    x = x.view(dtype).reshape(2, 3, 4)
    sums = {int(checkpoint.checksum(jnp.asarray(x)))}
    for i in range(24):  # each place, another bit of it
        changed = x.copy().reshape(-1)
        if dtype.kind == "b":
            changed[i] = not changed[i]
        else:
            changed.view(np.uint8)[i * dtype.itemsize + i % dtype.itemsize] ^= 1 << (i % 8)
        sums.add(int(checkpoint.checksum(jnp.asarray(changed.reshape(x.shape)))))
    assert len(sums) == 25
    swapped = jnp.asarray(x).swapaxes(0, 1).reshape(x.shape)
    assert int(checkpoint.checksum(swapped)) not in sums


def test_checksum_is_the_formula_and_ignores_sharding():
    def mix(x):
        x = ((x ^ (x >> 16)) * 0x7FEB352D) % 2**32
        x = ((x ^ (x >> 15)) * 0x846CA68B) % 2**32
        return x ^ (x >> 16)

    x = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    words = [int(w) for w in x.view(np.uint32).ravel()]
    expected = sum(mix(w ^ mix(i + 1)) for i, w in enumerate(words)) % 2**32
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",), axis_types=(AxisType.Auto,))
    for spec in (PartitionSpec(), PartitionSpec("data"), PartitionSpec(None, "data")):
        assert int(jax.jit(checkpoint.checksum)(jax.device_put(x, NamedSharding(mesh, spec)))) == expected


def files(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1 << 4
    path.write_bytes(data)


DAMAGE = {
    "flipped at the start": lambda path: flip(path, 0.0),
    "flipped in the middle": lambda path: flip(path, 0.5),
    "flipped near the end": lambda path: flip(path, 0.9),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_file_is_damaged_the_state_is_a_saved_one(directory, damage, caplog, capfd):
    """Each file of checkpoint 2 in turn: either it did not matter, or checkpoint 1 is used and 2 is named."""
    fell_back = {}
    backup = shutil.copytree(directory / "2", directory.parent / "backup")
    for name in files(directory / "2"):
        DAMAGE[damage](directory / "2" / name)
        caplog.clear()
        state = checkpoint.restore(directory, abstract())
        fell_back[name] = same(state, make_state(1))
        assert fell_back[name] or same(state, make_state(2)), name
        warnings = [record.getMessage() for record in caplog.records if record.name == "jaxgan"]
        assert len(warnings) == fell_back[name], name
        if fell_back[name]:
            assert "checkpoint 2 in" in warnings[0]
            assert "\n" not in warnings[0]
            with pytest.raises(checkpoint.CheckpointError, match="checkpoint 2 in"):
                checkpoint.restore(directory, abstract(), strict=True)
        shutil.rmtree(directory / "2")
        shutil.copytree(backup, directory / "2")
    assert not any(fell_back[name] for name in fell_back if name.startswith("generator/"))
    assert fell_back["_CHECKPOINT_METADATA"]
    largest = max(fell_back, key=lambda name: (directory / "2" / name).stat().st_size * name.startswith("state/ocdbt"))
    if damage != "flipped near the end":  # where Orbax keeps an index that it no longer reads
        assert fell_back[largest]  # the arrays' own bytes
    assert capfd.readouterr().err == ""


def test_sound_files_with_another_state_in_them_are_damage(directory):
    shutil.rmtree(directory / "2" / "state")
    shutil.copytree(directory / "1" / "state", directory / "2" / "state")
    with pytest.raises(checkpoint.CheckpointError, match=r"checkpoint 2 in .* of 28 arrays differ, the first is step"):
        checkpoint.restore(directory, abstract(), strict=True)


def test_none_good_names_all(directory):
    for step in (1, 2):
        (directory / str(step) / "_CHECKPOINT_METADATA").write_text("{}")
    with pytest.raises(checkpoint.CheckpointError, match=r"checkpoint 2 in .*checkpoint 1 in ") as caught:
        checkpoint.restore(directory, abstract())
    assert "\n" not in str(caught.value)


def test_one_asked_for_by_step_is_not_replaced_by_another(directory):
    (directory / "2" / "_CHECKPOINT_METADATA").unlink()
    with pytest.raises(checkpoint.CheckpointError, match="checkpoint 2 in"):
        checkpoint.restore(directory, abstract(), step=2)


def test_another_network_is_not_taken_for_damage(directory, caplog):
    with pytest.raises(ValueError, match=r"g/params/Dense_0/bias is float32\[8\] there, float32\[9\] here") as caught:
        checkpoint.restore(directory, abstract(width=9))
    assert not isinstance(caught.value, checkpoint.CheckpointError)
    assert not caplog.records
    wanted = abstract().ema
    del wanted.params["half"]
    with pytest.raises(ValueError, match=r"params/half is bfloat16\[8\] there, nothing here"):
        checkpoint.restore_generator(directory, wanted)
    wanted.params["half"] = jax.ShapeDtypeStruct((8,), jnp.float16)
    with pytest.raises(ValueError, match=r"params/half is bfloat16\[8\] there, float16\[8\] here"):
        checkpoint.restore_generator(directory, wanted)


def test_a_changed_shape_in_the_table_is_damage_and_not_another_network(directory):
    path = directory / "2" / "_CHECKPOINT_METADATA"
    path.write_text(path.read_text().replace("float32[8]", "float32[9]", 1))
    assert same(checkpoint.restore(directory, abstract()), make_state(1))


def test_training_on_from_before_damage_replaces_it(directory, caplog):
    for path in (directory / "2" / "state" / "ocdbt.process_0" / "d").iterdir():
        flip(path, 0.5)
    shutil.copytree(directory / "2", directory / "4")
    state = checkpoint.restore(directory, abstract())
    assert int(state.step) == 1
    with checkpoint.open_checkpoints(directory) as checkpoints:
        checkpoints.save(make_state(2))
        checkpoints.save(make_state(3))
        checkpoints.wait()
        assert checkpoints.steps() == [1, 2, 3]
    assert (directory / "2.superseded").is_dir()
    assert (directory / "4.superseded").is_dir()
    caplog.clear()
    assert same(checkpoint.restore(directory, abstract(), strict=True), make_state(3))
    assert same(checkpoint.restore(directory, abstract(), step=2), make_state(2))


def test_saving_a_step_twice_is_saving_it_once(directory):
    before = (directory / "2" / "_CHECKPOINT_METADATA").stat().st_mtime_ns
    with checkpoint.open_checkpoints(directory) as checkpoints:
        checkpoints.save(make_state(2))  # sound and the same: stays as it is
        checkpoints.save(make_state(3))
        checkpoints.save(make_state(3), wait=True)
        with pytest.raises(ValueError, match="step: 1, but 3 is saved already"):
            checkpoints.save(make_state(1))
    assert (directory / "2" / "_CHECKPOINT_METADATA").stat().st_mtime_ns == before
    assert checkpoint.saved_steps(directory) == [1, 2, 3]


def test_opening_and_saving_cope_with_damaged_metadata(directory):
    for step, text in ((1, "{"), (2, "")):
        (directory / str(step) / "_CHECKPOINT_METADATA").write_text(text)
    with checkpoint.open_checkpoints(directory, keep=1) as checkpoints:
        checkpoints.save(make_state(2))
        checkpoints.save(make_state(5))
    assert checkpoint.saved_steps(directory) == [5]
    assert same(checkpoint.restore(directory, abstract()), make_state(5))


def test_what_a_killed_save_left_is_ignored_and_cleared_away(directory):
    left = directory / "3.orbax-checkpoint-tmp"
    shutil.copytree(directory / "2", left)
    assert int(checkpoint.restore(directory, abstract()).step) == 2
    with checkpoint.open_checkpoints(directory) as checkpoints:
        assert not left.exists()
        checkpoints.save(make_state(3))
    assert same(checkpoint.restore(directory, abstract()), make_state(3))


def test_a_disk_that_refuses_is_told_and_what_was_saved_stays(directory, capfd):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with checkpoint.open_checkpoints(directory) as checkpoints:
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
            with pytest.raises(checkpoint.CheckpointError, match=r"checkpoint 3 in .* was not written") as caught:
                checkpoints.save(make_state(3), wait=True)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            checkpoints.save(make_state(4), wait=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert same(checkpoint.restore(directory, abstract(), strict=True), make_state(4))
    with checkpoint.open_checkpoints(directory) as checkpoints:
        checkpoints.save(make_state(5))
    assert same(checkpoint.restore(directory, abstract(), strict=True), make_state(5))


def test_an_error_in_the_background_surfaces_at_the_end_and_errors_of_others_pass(directory):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def save_one():
        with checkpoint.open_checkpoints(directory) as checkpoints:
            checkpoints.save(make_state(3))

    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        with pytest.raises(checkpoint.CheckpointError, match="was not written"):
            save_one()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same(checkpoint.restore(directory, abstract(), strict=True), make_state(2))
    with pytest.raises(KeyError, match="theirs"), checkpoint.open_checkpoints(directory):
        raise KeyError("theirs")


def test_folders_that_will_not_do(tmp_path, directory):
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/checkpoints")):
        with pytest.raises(ValueError, match=r"directory: .* cannot be written to"), checkpoint.open_checkpoints(wrong):
            pass
    with pytest.raises(ValueError, match="keep: 0"), checkpoint.open_checkpoints(tmp_path / "new", keep=0):
        pass
    assert not (tmp_path / "new").exists()
    for missing in (tmp_path / "nowhere", tmp_path / "file", tmp_path):
        with pytest.raises(FileNotFoundError, match="no checkpoint there"):
            checkpoint.restore(missing, abstract())
    with pytest.raises(FileNotFoundError, match=r"step: 7, but .* holds 1, 2"):
        checkpoint.restore(directory, abstract(), step=7)


SAVER = """
import sys
sys.path.insert(0, {tests!r})
import test_checkpoint as t
from jaxgan.training import checkpoint
first = int(checkpoint.restore({directory!r}, t.abstract(), strict=True).step)
with checkpoint.open_checkpoints({directory!r}, keep=2) as checkpoints:
    for step in range(first + 1, 10**6):
        checkpoints.save(t.make_state(step))
        print(step, flush=True)
"""


def test_kill_minus_nine_at_any_moment_loses_no_committed_checkpoint(directory):
    script = SAVER.format(tests=str(Path(__file__).parent), directory=str(directory))
    rng, last = random.Random(0), 2
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ}, text=True)
        for _ in range(rng.randint(4, 9)):
            assert process.stdout.readline(), "the saver died"
        time.sleep(rng.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        printed = [int(line) for line in process.communicate()[0].split()]
        step = int(checkpoint.restore(directory, abstract(), strict=True).step)
        # A save waits for the one before it, so all but the last two that were begun are committed.
        assert step >= max([last, *(n - 1 for n in printed)])
        assert same(checkpoint.restore(directory, abstract()), make_state(step))
        last = step
    assert last > 6


def test_nothing_of_orbax_reaches_the_terminal(directory, capfd, caplog):
    with checkpoint.open_checkpoints(directory) as checkpoints, caplog.at_level(logging.INFO):
        checkpoints.save(make_state(9))
    checkpoint.restore(directory, abstract())
    assert not [record for record in caplog.records if record.name == "absl"]
    assert capfd.readouterr().err == ""


def test_the_checksums_are_kept_as_plain_json(directory):
    metadata = json.loads((directory / "2" / "_CHECKPOINT_METADATA").read_text())["custom_metadata"]
    assert metadata["leaves"]["g/params/Dense_0/kernel"][0] == "float32[8,32]"
