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


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory):
    from transformers import AutoConfig, AutoModelForCausalLM

    from ssae_lens.models.tiny import tiny_tokenizer

    tokenizer, folder = tiny_tokenizer(), tmp_path_factory.mktemp("folders") / "gemma3"
    tokenizer.model_max_length = 1024
    config = AutoConfig.for_model(
        "gemma3_text",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
