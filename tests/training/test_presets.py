"""The presets take the steps of the reference code, written here anew as a plain module under Cooper's own solver.

Two things are not the reference's: a decoder's gradient loses its part along the decoder's rows before the step (there,
after it, where it has no effect), and of v1's two offsets behind the normalisation, which add up, there is one.
"""

import cooper
import pytest
import torch
from cooper.optim import ExtraAdam, ExtrapolationConstrainedOptimizer
from torch import nn

from ssae_lens.training import train
from ssae_lens.training.config import settings
from ssae_lens.training.data import Rows
from ssae_lens.training.training_group import TrainingGroup

from .conftest import make_synthetic

D, H, BATCH, STEPS = 12, 6, 32, 20
LEVEL = {"v1": 0.3, "v2": 0.1}


class Plain(nn.Module):
    """Both versions of the reference's autoencoder."""

    def __init__(self, version, W_enc, W_dec):
        super().__init__()
        self.version = version
        self.encoder = nn.Linear(D, H, bias=version == "v2")
        self.decoder = nn.Linear(H, D)
        self.input_norm = nn.LayerNorm(D) if version == "v2" else nn.Identity()
        self.code_norm = nn.LayerNorm(H) if version == "v2" else nn.BatchNorm1d(H)
        with torch.no_grad():
            self.encoder.weight.copy_(W_enc.T)
            self.decoder.weight.copy_(W_dec.T)
            for offset in (self.encoder.bias, self.decoder.bias):
                if offset is not None:
                    offset.zero_()
        self.decoder.weight.register_hook(self.project)

    def project(self, gradient):
        columns = self.decoder.weight.detach()
        return gradient - columns * (columns * gradient).sum(0, keepdim=True)

    def forward(self, shifts):
        if self.version == "v2":
            codes = self.code_norm(self.encoder(self.input_norm(shifts) - self.decoder.bias))
            return self.decoder(codes), codes
        mean = shifts.mean(-1, keepdim=True)
        std = (shifts - mean).std(-1, keepdim=True)
        codes = self.code_norm(self.encoder((shifts - mean) / (std + 1e-5) - self.decoder.bias))
        return self.decoder(codes) * std + mean, codes


class PlainProblem(cooper.ConstrainedMinimizationProblem):
    def __init__(self, model, level):
        super().__init__()
        self.model, self.level = model, level
        multiplier = cooper.multipliers.DenseMultiplier(num_constraints=1)
        self.sparsity = cooper.Constraint(cooper.ConstraintType.INEQUALITY, multiplier=multiplier)

    def compute_cmp_state(self, shifts):
        output, codes = self.model(shifts)
        loss = ((output - shifts).pow(2).sum(1) / shifts.pow(2).sum(1)).mean()
        violation = codes.abs().sum() / (len(shifts) * H) - self.level
        return cooper.CMPState(loss, {self.sparsity: cooper.ConstraintState(violation)})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_steps_of_the_reference(version):
    shifts = make_synthetic(n=400, d=D, concepts=H).shifts * 8
    problem, solver = settings(version, d_sae=H, level=LEVEL[version], steps=STEPS, warmup=0.0)
    data = Rows(shifts.numpy())
    group = TrainingGroup(data, problem, solver, [0], [problem.level], torch.device("cpu"))
    model = Plain(version, group.ensemble.W_enc[0].detach(), group.ensemble.W_dec[0].detach())
    theirs = PlainProblem(model, problem.level)
    optimiser = ExtrapolationConstrainedOptimizer(
        theirs,
        ExtraAdam(model.parameters(), lr=solver.lr),
        ExtraAdam(theirs.dual_parameters(), lr=solver.lr / 2, maximize=True),
    )
    for step in range(STEPS):
        pick = data.pick(step, BATCH, seed=0)
        group.step(step, pick)
        optimiser.roll({"shifts": shifts[pick]})
        with torch.no_grad():
            model.decoder.weight.div_(model.decoder.weight.norm(dim=0, keepdim=True))
    ours = group.ensemble
    assert next(iter(theirs.dual_parameters())).item() > 0
    torch.testing.assert_close(group.problem.multipliers_now, next(iter(theirs.dual_parameters())).detach())
    for mine, yours in (
        (ours.W_enc, model.encoder.weight.T),
        (ours.W_dec, model.decoder.weight.T),
        (ours.b_dec, model.decoder.bias),
        (ours.code_scale, model.code_norm.weight),
        (ours.code_offset, model.code_norm.bias),
    ):
        torch.testing.assert_close(mine[0], yours, rtol=1e-4, atol=2e-5)
    if version == "v2":
        torch.testing.assert_close(ours.b_enc[0], model.encoder.bias, rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(ours.input_scale[0], model.input_norm.weight, rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(ours.input_offset[0], model.input_norm.bias, rtol=1e-4, atol=2e-5)
    else:
        torch.testing.assert_close(ours.running_mean[0], model.code_norm.running_mean, rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(ours.running_var[0], model.code_norm.running_var, rtol=1e-4, atol=2e-5)


@pytest.mark.filterwarnings("ignore:The constraint")
@pytest.mark.parametrize(("version", "falling"), [("v1", "sparsity"), ("v2", "loss")])
def test_presets_run(version, falling, synthetic):
    start, end = (
        train(synthetic.shifts, d_sae=5, preset=version, level=0.3, steps=steps, quiet=True).outcome
        for steps in (1, 300)
    )
    assert getattr(end, falling) < 0.8 * getattr(start, falling)
