"""Fields of all networks: a value of the wrong kind is refused in one line that names the field, before anything is made."""

import dataclasses

import numpy as np
import pytest

from jaxgan.nets import dcgan, mlp, pix2pix, r3gan, resnet, sngan, stylegan2
from jaxgan.system.messages import FieldError

MODULES = [
    getattr(of, each)
    for of in (dcgan, mlp, pix2pix, r3gan, resnet, sngan, stylegan2)
    for each in ("Generator", "Discriminator")
]
WRONG = (
    1.5, True, "8", None, (), [], (1.5,), (2, "3"), {}, float("nan"), float("inf"), -1, -1.0, np.bool_(True), object(), 2j,
    np.zeros((3, 40)), (np.ones((2, 40)),), 10**5000, (10**5000,), 2**63, (2**63,), "a\nb", b"x" * 10**6,
)  # fmt: skip
every_module = pytest.mark.parametrize(
    "make", MODULES, ids=lambda make: f"{make.__module__.rpartition('.')[2]}-{make.__name__}"
)


def fields(make):
    return [field for field in dataclasses.fields(make) if field.name not in ("name", "parent")]


def error_of(make, name, value):
    try:
        hash(make(**{name: value}))
    except FieldError as error:
        return error
    return None


@every_module
def test_wrong_kinds_are_refused_by_name(make):
    others = (
        "groups",
        "blocks",
        "mbstd_features",
        "channel_base",
        "bfloat16_levels",
    )  # named where they no longer fit the changed field
    for field in fields(make):
        refused = [error for error in (error_of(make, field.name, value) for value in WRONG) if error is not None]
        assert len(refused) >= 10, f"{field.name}: {len(refused)} of {len(WRONG)} refused"
        told = [error for error in refused if "\n" in str(error) or len(str(error)) > 400]
        assert not told + [error for error in refused if error.field not in (field.name, *others)]


@every_module
def test_numpys_numbers_and_lists_make_the_same_module(make):
    for field in fields(make):
        usual = getattr(make(), field.name)
        if isinstance(usual, bool):
            same = np.bool_(usual)
        elif isinstance(usual, int):
            small = usual if usual < 100 else 64 if field.name in ("width", "w_dim", "channel_max") else usual
            same = np.uint8(small) if small < 256 else np.int32(small)
            usual = small
        elif isinstance(usual, tuple):
            same = list(map(np.int16, usual))
        elif isinstance(usual, float):
            same = np.float32(usual)
        else:
            continue
        one, other = make(**{field.name: usual}), make(**{field.name: same})
        assert one == other
        assert hash(one) == hash(other)
        assert type(getattr(one, field.name)) is type(getattr(other, field.name)), field.name


def test_integers_beyond_floats_are_refused():
    for value in (10**400, -(10**400)):
        assert error_of(stylegan2.Generator, "conv_clamp", value).field == "conv_clamp"
