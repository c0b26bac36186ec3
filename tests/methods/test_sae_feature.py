from dataclasses import replace

import numpy as np
import pytest
import torch
from sae_lens import (
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
    Transcoder,
    TranscoderConfig,
)
from transformer_lens import HookedTransformer

from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.methods import features_by_activation, features_by_output, sae_feature
from ssae_lens.models import tiny_model
from ssae_lens.pairs import load_pairs
from ssae_lens.sae import SSAE
from ssae_lens.sae.codes import codes_of, rows_of
from ssae_lens.shifts import ShiftStore

D, D_SAE = 32, 48
HOOK = "blocks.1.hook_resid_post"
KINDS = {
    "standard": (StandardSAE, StandardSAEConfig, {}),
    "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig, {}),
    "gated": (GatedSAE, GatedSAEConfig, {}),
    "topk": (TopKSAE, TopKSAEConfig, {"k": 8}),
    "topk, rescaled": (TopKSAE, TopKSAEConfig, {"k": 8, "rescale_acts_by_decoder_norm": True}),
}


def make(kind="standard", hook=HOOK, **options):
    """A random SAE of one of SAELens's kinds, none of whose parameters is nought."""
    sae_class, config_class, own = KINDS[kind]
    sae = sae_class(config_class(d_in=D, d_sae=D_SAE, **own, **options))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    sae.cfg.metadata.hook_name = hook
    sae.cfg.metadata.model_name = "tiny-gpt2"
    return sae.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def model():
    return tiny_model("gpt2")


@pytest.fixture(scope="module")
def shifts(model):
    return capture_shifts(model, load_pairs("sentences", n=60), HOOK, quiet=True)


def added_by(sae, activations, latent, amount=1.0):
    """What so much more of a code adds to what the SAE gives back, by its own encode and decode."""
    codes = sae.encode(activations)
    more = codes.clone()
    more[:, latent] += amount
    before = sae.decode(codes)
    sae.encode(activations)  # SAELens forgets what it normalised by when it decodes
    return sae.decode(more) - before


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_what_one_unit_adds(kind, shifts):
    sae = make(kind)
    vector = sae_feature(sae, 5)
    torch.testing.assert_close(
        vector.direction, added_by(sae, torch.tensor(shifts.source[:1]), 5)[0], atol=1e-5, rtol=1e-4
    )
    assert (vector.method, vector.hook_name, vector.origin.model_name) == ("sae_feature", HOOK, "tiny-gpt2")


@pytest.mark.parametrize("normalisation", ["layer_norm", "constant_norm_rescale"])
def test_codes_times_rows_are_in_residual_units(normalisation, shifts):
    sae = make(normalize_activations=normalisation)
    rows = torch.tensor(shifts.source[:10])
    codes = sae.encode(rows)
    for latent in (0, 7):
        expected = added_by(sae, rows, latent, -codes[:, [latent]].squeeze(1))
        found = -codes_of(sae, shifts.source[:10])[:, [latent]] * rows_of(sae, [latent]).numpy()
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    with pytest.raises(ValueError, match=f"normalises each activation by '{normalisation}'"):
        sae_feature(sae, 5)


@pytest.mark.parametrize("normalisation", ["none", "layer_norm"])
def test_scale_and_sign_come_from_the_shifts(shifts, normalisation):
    sae = make(normalize_activations=normalisation)
    contrast = shifts.labels[:, shifts.concepts.index("tense")]
    moved = contrast[:, None] * (codes_of(sae, shifts.target) - codes_of(sae, shifts.source))
    moved = moved[contrast != 0]
    for latent in (int(moved.sum(0).argmax()), int(moved.sum(0).argmin())):
        mean = (moved[:, latent] ** 2).sum() / abs(moved[:, latent]).sum() * np.sign(moved[:, latent].sum())
        vector = sae_feature(sae, np.int64(latent), shifts, concept="tense")
        np.testing.assert_allclose(vector.direction.numpy(), mean * rows_of(sae, [latent])[0].numpy(), rtol=1e-4)
        # Without a concept, it is more of the feature whichever way the pairs go.
        assert torch.dot(sae_feature(sae, latent, shifts).direction, rows_of(sae, [latent])[0]) > 0
    assert vector.origin == shifts.origin
    assert vector.norms.keys() == {"mean_residual_norm", "mean_shift_norm"}


def test_features_by_activation(shifts):
    sae = make("topk")
    contrast = shifts.labels[:, shifts.concepts.index("sentiment")]
    changed = contrast != 0
    codes = [sae.encode(torch.tensor(side)).numpy()[changed] for side in (shifts.source, shifts.target)]
    comes = contrast[changed, None] > 0
    without, with_it = np.where(comes, *codes), np.where(comes, *codes[::-1])
    table = features_by_activation(sae, shifts, "sentiment", n=None)
    assert sorted(table.latent) == list(range(D_SAE))
    assert table.difference.is_monotonic_decreasing
    np.testing.assert_allclose(table.difference, (with_it - without).mean(0)[table.latent], atol=1e-5)
    np.testing.assert_allclose(table.firing_with, (with_it > 0).mean(0)[table.latent])
    np.testing.assert_allclose(table.firing_without, (without > 0).mean(0)[table.latent])
    assert features_by_activation(sae, shifts, "sentiment", n=3).equals(table.head(3))


def score_as_the_authors_do(model, sae, latent, prompt, factor, top):
    """Encode the block's output, raise one code at the last token, decode, add what the SAE misses, and go on."""

    def amplify(values, hook):
        flat = values[0]
        codes = sae.encode(flat)
        missed = flat - sae.decode(codes)
        codes = sae.encode(flat).clone()
        codes[-1, latent] += factor * codes[-1].max()
        return (sae.decode(codes) + missed)[None]

    logits = model.run_with_hooks(prompt, fwd_hooks=[(HOOK, amplify)])[0, -1]
    chances = logits.softmax(-1)
    lens = model.unembed(model.ln_final(sae.W_dec[latent][None, None]))[0, 0]
    meant = lens.softmax(-1).topk(top).indices
    order = chances.argsort(descending=True)
    ranks = [(order == token).nonzero().item() for token in meant]
    return (1 - min(ranks) / len(chances)) * chances[meant].max().item()


@pytest.mark.parametrize("model_kind", ["hooked", "bridge"])
@pytest.mark.parametrize("normalisation", ["none", "layer_norm"])
def test_the_output_score_is_the_authors(model_kind, normalisation):
    model, sae = tiny_model("gpt2", model_kind), make(normalize_activations=normalisation)
    latents = [3, 0, 11, 40, 21]
    table = features_by_output(model, sae, latents, factor=3.0, top_tokens=4, max_rows=3, quiet=True)
    assert table.output_score.is_monotonic_decreasing
    assert sorted(table.latent) == sorted(latents)
    for row in table.itertuples():
        expected = score_as_the_authors_do(model, sae, row.latent, "From my experience,", 3.0, 4)
        assert row.output_score == pytest.approx(expected, rel=1e-3)
        assert row.output_score == pytest.approx((1 - row.rank / model.cfg.d_vocab) * row.probability, rel=1e-4)
        assert len(row.promotes) == 4
    assert features_by_output(model, sae, latents, factor=3.0, top_tokens=4, n=2, quiet=True).equals(table.head(2))


def test_the_output_score_on_a_model_without_a_final_norm():
    normed = tiny_model("gpt2")
    cfg = replace(normed.cfg, normalization_type=None)
    model = HookedTransformer(cfg, normed.tokenizer)
    model.load_state_dict(normed.state_dict(), strict=False)
    assert not hasattr(model, "ln_final")
    table = features_by_output(model, make(), [3, 0], factor=3.0, top_tokens=4, quiet=True)
    tokens = model.unembed(make().W_dec[[3]][None])[0, 0].topk(4).indices
    assert table.set_index("latent").promotes[3] == [model.tokenizer.decode([token]) for token in tokens]


def test_numbers_of_latents_of_other_libraries(model):
    table = features_by_output(model, make(), [3, 11], factor=3.0, quiet=True)
    for latents in (np.array([3, 11]), torch.tensor([3, 11])):
        assert features_by_output(model, make(), latents, factor=3.0, quiet=True).equals(table)
    assert torch.equal(sae_feature(make(), torch.tensor(3)).direction, sae_feature(make(), 3).direction)


def test_an_sae_at_another_place(model, shifts):
    with pytest.raises(ValueError, match=r"blocks.0.hook_resid_pre' against 'blocks.1.hook_resid_post'"):
        sae_feature(make(hook="blocks.0.hook_resid_pre"), 0, shifts)
    with pytest.raises(ValueError, match=r"blocks.0.hook_resid_pre' against 'blocks.1.hook_resid_post'"):
        features_by_activation(make(hook="blocks.0.hook_resid_pre"), shifts, "tense")
    of_another = make()
    of_another.cfg.metadata.model_name = "EleutherAI/pythia-70m"
    for use in (lambda: sae_feature(of_another, 0, shifts), lambda: features_by_output(model, of_another, [0])):
        with pytest.raises(ValueError, match="'pythia-70m' against 'tiny-gpt2'"):
            use()
    narrow = ShiftStore.from_arrays(torch.zeros(2, 8), torch.ones(2, 8), origin=type(shifts.origin)(HOOK, 8))
    with pytest.raises(ValueError, match="d_model: 32 against 8"):
        sae_feature(make(), 0, narrow)


def test_names_that_transformer_lens_has_for_a_model():
    sae = make()
    sae.cfg.metadata.model_name = "gpt2-small"
    assert sae_feature(sae, 0).origin.model_name == "gpt2"


def test_an_sae_of_another_kind(shifts):
    with pytest.raises(ValueError, match="sae is an SSAE, which encodes shifts"):
        sae_feature(SSAE.from_weights(torch.eye(D), torch.eye(D)), 0)
    with pytest.raises(
        ValueError, match=r"normalised by 'expected_average_only_in'; fold .*fold_activation_norm_scaling"
    ):
        sae_feature(make(normalize_activations="expected_average_only_in"), 0)
    transcoder = Transcoder(TranscoderConfig(d_in=D, d_sae=D_SAE, d_out=D, apply_b_dec_to_input=False))
    with pytest.raises(ValueError, match=r"The SAE \(transcoder\)"):
        sae_feature(transcoder, 0)


def test_what_cannot_be_used_is_said(model, shifts):
    with pytest.raises(ValueError, match="latent is 48; the SAE has latents 0 to 47"):
        sae_feature(make(), D_SAE)
    with pytest.raises(ValueError, match="does not say which hook it reads"):
        sae_feature(make(hook=None), 0)
    with pytest.raises(ValueError, match="latent is 48"):
        features_by_output(model, make(), [D_SAE])
    with pytest.raises(ValueError, match="latents is empty"):
        features_by_output(model, make(), [])
    with pytest.raises(ValueError, match="sae is a Linear"):
        features_by_activation(torch.nn.Linear(2, 2), shifts, "tense")
    with pytest.raises(ValueError, match="n is 0"):
        features_by_activation(make(), shifts, "tense", n=0)
    broken, silent = make(), make()
    broken.W_dec[0, 0] = torch.nan
    with pytest.raises(ValueError, match="direction holds NaN"):
        sae_feature(broken, 0)
    silent.b_enc[0] = -1e9
    with pytest.raises(ValueError, match="Feature 0 does not change in any of 60 pairs"):
        sae_feature(silent, 0, shifts)
