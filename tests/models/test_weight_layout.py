"""Weights that lie otherwise in memory are the same weights, and give the same results."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ssae_lens.models.hooked import laid_out_for_generation
from ssae_lens.models.tiny import tiny_model

TEXT = "The king and the queen were sad."


class CountCopies(TorchDispatchMode):
    """Counts the numbers that are copied, the way that a layout asks for."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.clone, torch.ops.aten.copy_):
            self.numbers += args[0].numel()
        return func(*args, **kwargs or {})


def copied(model):
    tokens = model.to_tokens("I")[:, :1]
    with torch.no_grad(), CountCopies() as count:
        model(tokens)
    return count.numbers


@pytest.mark.parametrize("shape", ["gpt2", "llama", "neox", "gemma2"])
def test_same_results_and_no_copies(shape):
    model = tiny_model(shape)
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    logits, before = model(TEXT), copied(model)
    with laid_out_for_generation(model):
        assert torch.equal(model(TEXT), logits)
        assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())
        inside = copied(model)
    # What is copied still is activations; the weights of one block are more than all of these.
    assert inside < model.W_Q[0].numel() < before
    assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())
    assert all(each.is_contiguous() for each in model.parameters())


def test_after_an_exception_and_in_inference_mode():
    model = tiny_model("llama")
    with pytest.raises(ZeroDivisionError), torch.inference_mode(), laid_out_for_generation(model):
        _ = 1 / 0
    assert all(each.is_contiguous() for each in model.parameters())
    assert not any(each.is_inference() for each in model.parameters())


def test_a_bridge_is_left_alone():
    model = tiny_model("llama", "bridge")
    places = [each.data_ptr() for each in model.parameters()]
    with laid_out_for_generation(model):
        assert [each.data_ptr() for each in model.parameters()] == places
