"""Settings for every test: one thread for each process, no network, no progress bars."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("WANDB_MODE", "offline")
# Tests hold what models give against tensors of their own. What a GPU gives, test_gpu.py asks: CUDA_VISIBLE_DEVICES=0 pytest
# tests/test_gpu.py
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
