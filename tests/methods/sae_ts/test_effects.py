"""Effects: equal to a slow computation by other means, and the same whether interrupted or not."""

import re
from dataclasses import replace

import pytest
import torch
from sae_lens import SAE, StandardSAE, StandardSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
from safetensors.torch import save_file

from ssae_lens.hooks._steer import steer
from ssae_lens.methods.sae_ts import Effects, Scales, Settings, measure_effects
from ssae_lens.methods.sae_ts import effects as module
from ssae_lens.models import tiny_model
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.1.hook_resid_post"


@torch.no_grad()
def slow_means(model, sae, settings, vector=None, scale=0.0):
    """Text after text: greedy generation by the model itself, then a plain look at each token it made."""
    seen = []
    for prompt in settings.prompts:
        options = {"max_new_tokens": settings.max_new_tokens, "do_sample": False, "stop_at_eos": False}
        vectors = vector if vector is not None else torch.ones(model.cfg.d_model)
        with steer(model, SteeringVector(vectors, HOOK), scale=scale):
            ids = model.generate(model.to_tokens(prompt), return_type="tokens", verbose=False, **options)
        values = model.run_with_cache(ids)[1][HOOK][0, model.to_tokens(prompt).shape[1] :]
        seen += [sae.encode(value) for value in values]
    return torch.stack(seen).mean(0)


def test_an_effect_is_what_a_slow_computation_gives(either_model, sae, vectors, settings):
    greedy = replace(settings, temperature=0.0)
    found = measure_effects(either_model, sae, vectors[:3], greedy, max_rows=8)
    baseline = slow_means(either_model, sae, greedy)
    torch.testing.assert_close(found.baseline, baseline, rtol=1e-4, atol=1e-5)
    for row in range(3):
        unit = vectors[row] / vectors[row].norm()
        expected = slow_means(either_model, sae, greedy, unit, found.scales[row].item()) - baseline
        torch.testing.assert_close(found.effects[row], expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.vectors[row], unit, rtol=1e-3, atol=1e-4)
    assert found.reached.any()
    assert found.effects.abs().max() > 0.1
    assert (found.origin.hook_name, found.origin.model_class) == (HOOK, type(either_model).__name__)


def test_no_steering_no_effect(model, sae, vectors, settings, monkeypatch):
    """With as many samples of the baseline, whose numbers are the same, nothing is left."""
    monkeypatch.setattr(module, "search", lambda losses, units, *_: _no_scales(len(units)))
    found = measure_effects(model, sae, vectors[:3], replace(settings, n_baseline=settings.n_samples), max_rows=12)
    assert found.effects.abs().max() < 1e-5
    assert found.baseline.max() > 0.1


def _no_scales(n):
    return Scales(torch.zeros(n), torch.zeros(n), torch.zeros(n, dtype=torch.bool), 0.0, 1.0)


@pytest.mark.parametrize(
    "sae_of",
    [
        lambda: StandardSAE(StandardSAEConfig(d_in=32, d_sae=40, normalize_activations="layer_norm")),
        lambda: TopKTrainingSAE(TopKTrainingSAEConfig(d_in=32, d_sae=40, k=3, use_sparse_activations=True)),
    ],
    ids=["standard", "topk in training"],
)
def test_other_saes(model, vectors, settings, sae_of):
    sae = sae_of()
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    found = measure_effects(model, sae, vectors[:1], settings)
    assert found.effects.shape == (1, 40)
    assert found.effects.abs().max() > 0


class TestResuming:
    def test_bit_for_bit(self, model, sae, vectors, settings, effects, tmp_path, monkeypatch):
        path, steered, ran = tmp_path / "effects.safetensors", module._Measurement.steered, []

        def interrupted(self, units):
            if len(ran) == 2:
                raise KeyboardInterrupt
            ran.append(len(units))
            return steered(self, units)

        monkeypatch.setattr(module._Measurement, "steered", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure_effects(model, sae, vectors, settings, path=path, max_rows=8)
        assert not path.exists()
        monkeypatch.setattr(
            module._Measurement, "steered", lambda self, units: ran.append(len(units)) or steered(self, units)
        )
        found = measure_effects(model, sae, vectors, settings, path=path, max_rows=8)
        # Two vectors make a part of eight rows, and none was made twice.
        assert ran == [2] * 3
        assert_same(found, effects)
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
        assert_same(measure_effects(model, sae, vectors, settings, path=path, max_rows=8), effects)
        assert len(ran) == 3

    def test_what_was_begun_is_not_mixed_with_something_else(
        self, model, sae, vectors, settings, tmp_path, monkeypatch
    ):
        path = tmp_path / "effects.safetensors"
        monkeypatch.setattr(module._Measurement, "steered", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            measure_effects(model, sae, vectors, settings, path=path)
        with pytest.raises(ValueError, match=r"partial was made for something else \(seed: 0 there, 1 now\)"):
            measure_effects(model, sae, vectors, replace(settings, seed=1), path=path)


def assert_same(found, expected):
    for name in (*Effects.SHAPES, "origin", "sae", "mean_norm", "settings", "call"):
        one, other = getattr(found, name), getattr(expected, name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, name


class TestFiles:
    def test_there_and_back(self, effects, tmp_path):
        effects.save(tmp_path / "effects.safetensors")
        assert_same(Effects.load(tmp_path / "effects.safetensors"), effects)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"settings": "target"}, "target: 0.2 there, 0.3 now"),
            ({"sae": 1}, "sae: '[0-9a-f]+' there,"),
            ({"vectors": 1}, "vectors: '[0-9a-f]+' there,"),
            ({"model": 1}, r"origin\.fingerprint: '[0-9a-f]+' there,"),
        ],
    )
    def test_of_something_else(self, model, sae, another_sae, vectors, settings, effects, tmp_path, change, words):
        path = tmp_path / "effects.safetensors"
        effects.save(path)
        model = tiny_model("gpt2", seed=1) if "model" in change else model
        sae = another_sae(1) if "sae" in change else sae
        vectors = -vectors if "vectors" in change else vectors
        settings = replace(settings, target=0.3) if "settings" in change else settings
        with pytest.raises(ValueError, match=f"made for something else .*{words}"):
            measure_effects(model, sae, vectors, settings, path=path, max_rows=8)

    def test_cut_short(self, effects, tmp_path):
        path = tmp_path / "effects.safetensors"
        effects.save(path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            Effects.load(path)

    def test_of_another_kind(self, tmp_path):
        save_file({"effects": torch.ones(2, 2)}, tmp_path / "some.safetensors")
        with pytest.raises(ValueError, match="holds no effects, but other tensors"):
            Effects.load(tmp_path / "some.safetensors")
        with pytest.raises(FileNotFoundError, match=r"no file .*Did you mean 'some\.safetensors'"):
            Effects.load(tmp_path / "same.safetensors")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"vectors": torch.ones(5, 32)}, "n is 6 in effects and 5 before"),
            ({"baseline": torch.ones(7)}, "d_sae is 7 in baseline and 48 before"),
            ({"scales": torch.full((6,), torch.nan)}, "scales holds NaN"),
        ],
    )
    def test_that_does_not_fit_together(self, effects, tmp_path, change, words):
        path = tmp_path / "effects.safetensors"
        replace(effects, **change).save(path)
        with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + words):
            Effects.load(path)

    def test_whose_header_lacks_something(self, effects, tmp_path):
        path = tmp_path / "effects.safetensors"
        effects.save(path)
        path.write_bytes(path.read_bytes().replace(b"settings", b"sittings").replace(b"sha256", b"sha0.1"))
        with pytest.raises(ValueError, match=r"'settings' is missing"):
            Effects.load(path)

    def test_beyond_half_precision(self, model, sae, vectors, settings, another_sae):
        large = another_sae()
        with torch.no_grad():
            large.W_enc.mul_(1e6)
        with pytest.raises(ValueError, match="effects holds NaN or numbers beyond 65504"):
            measure_effects(model, large, vectors[:1], settings)


class TestBadInput:
    @pytest.mark.parametrize(
        ("made", "words"),
        [
            ({"hook_name": None}, "does not say which hook it reads"),
            ({"hook_name": "blocks.7.hook_resid_post"}, r"no hook 'blocks\.7\.hook_resid_post'"),
            ({"hook_name": "hook_embed"}, "'hook_embed', which is outside of the blocks"),
            ({"hook_name": "blocks.1.mlp.hook_post"}, r"activations of shape \(2, 3, 128\)"),
            ({"d_in": 16}, "d_in=16 .* d_model=32"),
        ],
    )
    def test_saes(self, model, vectors, another_sae, made, words):
        with pytest.raises(ValueError, match=words):
            measure_effects(model, another_sae(**made), vectors)

    def test_vectors(self, model, sae, vectors):
        bad = vectors.clone()
        bad[3, 4] = torch.nan
        with pytest.raises(ValueError, match=r"vectors holds NaN or infinite values in 1 of 6 rows \(3\)"):
            measure_effects(model, sae, bad)
        with pytest.raises(ValueError, match=r"vectors has shape \(6, 31\)"):
            measure_effects(model, sae, vectors[:, 1:])

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"prompts": ()}, r"prompts is \(\)"),
            ({"texts": "one text"}, "texts is 'one text'"),
            ({"target": -1}, "target is -1"),
            ({"n_samples": 0}, "n_samples is 0"),
            ({"max_new_tokens": 0}, "max_new_tokens is 0"),
            ({"top_p": 0}, "top_p is 0"),
        ],
    )
    def test_settings(self, given, words):
        with pytest.raises(ValueError, match=words):
            Settings(**given)

    def test_prompts_too_long(self, model, sae, vectors):
        with pytest.raises(ValueError, match=r"has \d+ tokens; with max_new_tokens=250"):
            measure_effects(model, sae, vectors, Settings(max_new_tokens=250))


def test_settings_through_json():
    import json
    from dataclasses import asdict

    settings = Settings(prompts=("a", "b"), top_k=None)
    assert Settings.from_dict(json.loads(json.dumps(asdict(settings)))) == settings


def test_it_works_from_a_folder(model, sae, vectors, settings, effects, tmp_path):
    """What SAELens saves and loads is the same SAE."""
    sae.save_model(tmp_path)
    loaded = SAE.load_from_disk(tmp_path)
    found = measure_effects(model, loaded, vectors[:2], settings, max_rows=8)
    assert found.sae == effects.sae
    assert torch.equal(found.effects, effects.effects[:2])
