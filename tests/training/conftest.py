"""Synthetic data with ground truth for the tests of training."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor


class SyntheticData(NamedTuple):
    shifts: Tensor
    factors: Tensor
    directions: Tensor


def make_synthetic(n=3000, d=16, concepts=5, most=2, seed=0):
    """Shifts in which one to `most` of the concepts change, each along its direction by a normal amount."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(concepts, d, generator=generator), dim=1)
    changed = torch.rand(n, concepts, generator=generator).argsort(1)
    changed = changed < torch.randint(1, most + 1, (n, 1), generator=generator)
    factors = torch.randn(n, concepts, generator=generator) * changed
    return SyntheticData(factors @ directions, factors, directions)


@pytest.fixture(scope="session")
def synthetic():
    return make_synthetic()


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A run of Weights & Biases that needs no network, and the steps and rows that it is given to log."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    seen = []
    with wandb.init(project="ssae", dir=str(tmp_path), mode="offline") as run:
        log = run.log
        monkeypatch.setattr(run, "log", lambda row, step: (seen.append((step, row)), log(row, step=step)))
        yield run, seen
