"""Numbers of NumPy's count as Python's; truth values, text and NaN do not."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch

from ssae_lens import SSAE
from ssae_lens.base import checks


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers(number):
    checks.integer("n", number, 3)
    with pytest.raises(ValueError, match="it must be an integer of at least 4"):
        checks.integer("n", number, 4)


@pytest.mark.parametrize("number", [3, 3.0, np.int64(3), np.float32(3), np.float64(3), Fraction(3)])
def test_real_numbers(number):
    checks.at_least("x", number, 3)
    checks.above("x", number, 2.5)
    with pytest.raises(ValueError, match=r"it must be at least 3\.5"):
        checks.at_least("x", number, 3.5)
    with pytest.raises(ValueError, match="it must be greater than 3"):
        checks.above("x", number, 3)


@pytest.mark.parametrize("value", [True, np.bool_(True), "3", None, float("nan"), np.float32("nan"), np.array([3]), 3j])
def test_what_is_no_number(value):
    for check in (checks.integer, checks.at_least, checks.above):
        with pytest.raises(ValueError, match=r"x is .*; it must be"):
            check("x", value, 0)


def test_whole_numbers_are_not_floats_and_infinity_is_not_finite():
    for value in (3.0, np.float64(3)):
        with pytest.raises(ValueError, match="an integer"):
            checks.integer("n", value)
    with pytest.raises(ValueError, match="it must be finite"):
        checks.above("x", np.float32("inf"), 0)
    with pytest.raises(ValueError, match="it must be finite"):
        checks.above("x", 10**400, 0)
    checks.above("x", np.float32(3e38), 0)


@dataclass(frozen=True)
class Settings:
    few: int = np.int64(2)
    sizes: tuple[float, ...] = (0.5, np.float32(0.25))
    name: str = "a"


def test_python_numbers():
    settings = Settings()
    checks.python_numbers(settings)
    assert (settings.few, settings.sizes, settings.name) == (2, (0.5, 0.25), "a")
    assert {type(each) for each in (settings.few, *settings.sizes)} == {int, float}


def test_an_ssae_of_numpys_numbers_is_saved(tmp_path):
    SSAE.from_weights(torch.eye(3), torch.eye(3), k=np.int64(2)).save_model(tmp_path)
    assert SSAE.load_from_disk(tmp_path).cfg.k == 2


def test_a_warning_stands_at_the_line_that_led_here():
    """Whatever lies between in the package, a user is shown their own line."""
    from ssae_lens.base import tensor_files

    with pytest.warns(UserWarning, match="carries no checksum") as caught:
        tensor_files.warn_of_no_checksum("v.safetensors")
    assert caught[0].filename == __file__
