"""SAE-TS on a real model, and what ships of it."""

import json

import pytest
import torch
from sae_lens import SAE, TopKSAE, TopKSAEConfig

from ssae_lens.base.assets import ASSETS
from ssae_lens.methods.sae_ts import (
    Approximator,
    Effects,
    Settings,
    compare,
    fit_approximator,
    measure_effects,
    targeted,
)
from ssae_lens.models import load_model

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("smollm2")]

HOOK = "blocks.15.hook_resid_post"
SHIPPED = ASSETS / "smollm2-135m-res" / HOOK
WAYS = ("targeted", "pseudo-inverse", "rotation", "random")


def test_hooked_and_bridge_agree():
    torch.manual_seed(0)
    sae = TopKSAE(TopKSAEConfig(d_in=576, d_sae=1024, k=16))
    sae.cfg.metadata.hook_name = HOOK
    settings = Settings(
        prompts=("It turns out that", "My neighbour says"), n_baseline=1, max_new_tokens=6, temperature=0.0
    )
    vectors = sae.W_dec[:2]
    found = [measure_effects(load_model("smollm2-135m", kind), sae, vectors, settings) for kind in ("hooked", "bridge")]
    for each in found:
        assert each.reached.all()
        assert 120 < each.mean_norm < 250  # first tokens, of a norm of thousands, are left out
    torch.testing.assert_close(found[0].scales, found[1].scales, rtol=1e-2, atol=0)
    torch.testing.assert_close(found[0].baseline, found[1].baseline, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found[0].effects, found[1].effects, rtol=1e-2, atol=5e-2)


@pytest.fixture(scope="module")
def shipped():
    if not (SHIPPED / "approximator.safetensors").is_file():
        pytest.skip(f"{SHIPPED} holds no approximator: scripts/sae_ts_effects.py has not been run")
    return (
        SAE.load_from_disk(SHIPPED, dtype="float32"),
        Effects.load(SHIPPED / "effects.safetensors"),
        Approximator.load(SHIPPED / "approximator.safetensors"),
        json.loads((SHIPPED / "measured.json").read_text())["sae_ts"],
    )


def test_the_approximator_is_what_the_effects_give(shipped):
    _, effects, approximator, said = shipped
    settings = {key: approximator.fitted[key] for key in ("method", "seed", "penalty") if key in approximator.fitted}
    again = fit_approximator(effects, **settings)
    assert again.r2 == pytest.approx(approximator.r2, abs=1e-3)
    assert said["approximator"]["r2"] == approximator.r2 > 0
    assert approximator.r2 > approximator.r2_shuffled
    torch.testing.assert_close(again.M, approximator.M, rtol=1e-2, atol=1e-3)


def test_the_table_says_which_way_does_more(shipped):
    comparison = shipped[3]["comparison"]
    rows = comparison["table"]
    assert len(rows) == len(comparison["features"]) == 20
    for way in WAYS:
        assert comparison[way]["more than the decoder row"] == sum(row[way] > row["decoder row"] for row in rows)
    # What ships is worth shipping: aimed at a feature, it does more than a random direction.
    assert sum(row["targeted"] > row["random"] for row in rows) > 10


def test_a_row_of_the_table_comes_out_again(shipped):
    sae, effects, approximator, said = shipped
    model = load_model("smollm2-135m")
    approximator.origin.require_same(targeted(approximator, 0).origin, "origins")
    row = max(said["comparison"]["table"], key=lambda each: each["targeted"])
    settings = Settings(max_new_tokens=effects.settings.max_new_tokens, seed=effects.settings.seed + 1)
    table = compare(model, sae, approximator, [row["feature"]], settings)
    assert table["targeted"].item() > 0.3 * row["targeted"]
    assert table["targeted"].item() > table["random"].item()
