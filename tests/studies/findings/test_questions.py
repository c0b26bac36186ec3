import numpy as np
import pytest
import torch

from ssae_lens.hooks._steer import steer
from ssae_lens.methods.sae_ts import targeted
from ssae_lens.metrics import r2_uncentred
from studies.findings import coherence, inverse, layers, reach
from studies.findings.inputs import unit


class TestCoherence:
    @pytest.fixture(scope="class")
    def measured(self, inputs):
        return coherence.measure(inputs)

    def test_has_every_vector_and_temperature(self, measured, settings):
        rows = [(each["vector"], each["temperature"]) for each in measured["rows"]]
        assert len(rows) == len(set(rows)) == (settings.rows + 1 + 2) + 3
        assert measured["points"] == settings.rows + 1 + 2

    def test_a_low_temperature_narrows_the_choice(self, measured):
        plain = {
            each["temperature"]: np.mean(each["entropy"]) for each in measured["rows"] if each["vector"] == "unsteered"
        }
        assert plain[0.3] < plain[0.7] < plain[1.5]

    def test_loss_and_entropy_are_those_of_the_model(self, inputs):
        unit_row = unit(inputs.effects.vectors[:1])
        texts = inputs.generate(unit_row, [2.0], seed=0)
        loss, entropy = coherence._loss_and_entropy(inputs, texts, unit_row, [2.0], 0.7)
        tokens, made = texts.tokens[0, 0], texts.generated[0, 0]
        log_probabilities = inputs.model(tokens[None])[0].log_softmax(-1)
        expected = [-log_probabilities[i - 1, tokens[i]].item() for i in range(len(tokens)) if made[i]]
        assert loss[0, 0] == pytest.approx(np.mean(expected), rel=1e-4)
        with steer(inputs.model, inputs.vectors(unit_row)[0], scale=2.0):
            drawn = torch.distributions.Categorical(logits=inputs.model(tokens[None])[0] / 0.7)
        expected = [drawn.entropy()[i - 1].item() for i in range(len(tokens)) if made[i]]
        assert entropy[0, 0] == pytest.approx(np.mean(expected), rel=1e-4)

    def test_a_rise_that_a_narrower_choice_explains_leaves_nothing(self):
        def row(vector, temperature, entropy, height):
            many = {name: [value] * 16 for name, value in (("loss", 1.0), ("distinct", 1.0), ("names", 0.0))}
            return {"vector": vector, "scale": 0.1, "temperature": temperature, **many} | {
                "entropy": [entropy] * 16,
                "coherence": [height] * 16,
            }

        plain = [row("unsteered", 0.3, 1.0, 0.8), row("unsteered", 0.7, 2.0, 0.6), row("unsteered", 1.0, 3.0, 0.4)]
        steered = [row("a", 0.7, 1.5, 0.7), row("b", 0.7, 2.5, 0.5), row("c", 0.7, 1.0, 0.8)]
        numbers = coherence.summary([*plain, *steered])
        assert numbers["above"] == 2
        assert numbers["best"]["vector"] == "c"
        assert numbers["best"]["reported"]["estimate"] == pytest.approx(0.2)
        assert numbers["entropy"]["estimate"] == pytest.approx(-1)
        assert numbers["beyond_entropy"]["estimate"] == pytest.approx(0)
        assert (
            numbers["mean_of_those_above"]["rise"]
            == pytest.approx(numbers["mean_of_those_above"]["expected"])
            == pytest.approx(0.15)
        )
        assert numbers["mean_of_those_above"]["by_likelihood"] == pytest.approx(0.15)

    @pytest.mark.parametrize(
        ("text", "share"), [("Anna met Bob", 2 / 3), ("he saw. Then it rained", 0), ("I'm here and I go", 0), ("", 0)]
    )
    def test_names(self, text, share):
        assert coherence.share_of_names(text) == pytest.approx(share)


class TestLayers:
    def test_the_change_is_the_vector_where_it_is_added(self, inputs):
        measured = layers.measure(inputs)
        own, later = measured["layers"]
        assert own["hook"] == inputs.hook
        assert own["cosine"]["estimate"] == pytest.approx(1, abs=1e-5)
        assert own["shared"]["estimate"] == pytest.approx(1, abs=1e-4)
        assert own["geometry"]["estimate"] == pytest.approx(measured["geometry_of_vectors"]["estimate"], abs=1e-3)
        assert later["hook"] == "blocks.2.hook_resid_post"
        assert later["cosine"]["estimate"] < 1
        assert 0 < later["shared"]["estimate"] <= 1

    def test_later_change_is_the_difference_of_two_passes(self, inputs):
        rows = inputs.fitted[:1]
        units, scales = unit(inputs.effects.vectors[rows]), inputs.effects.scales[rows]
        hook = "blocks.2.hook_resid_post"
        changes, *_ = layers.changes_of(inputs, units, scales)
        expected = []
        for text in inputs.effects.settings.texts:
            _, plain = inputs.model.run_with_cache(text)
            with steer(inputs.model, inputs.vectors(units)[0], scale=scales[0].item()):
                _, now = inputs.model.run_with_cache(text)
            expected.append((now[hook] - plain[hook])[0, 1:])
        np.testing.assert_allclose(changes[hook]["mean"][0], torch.cat(expected).mean(0), atol=1e-5)


class TestInverse:
    def test_vectors_are_those_of_sae_ts(self, inputs):
        features = inputs.features[:3]
        vectors = inverse.vectors_of(inputs.approximator.M, inputs.approximator.b, inputs, features)
        for number, feature in enumerate(features):
            expected = targeted(inputs.approximator, feature).direction
            np.testing.assert_allclose(vectors[inverse.TARGETED][number], expected, atol=1e-5)
        assert torch.allclose(vectors[inverse.ROW], inputs.sae.W_dec[features], atol=1e-5)

    def test_rounding_is_cut_off(self, inputs):
        """A map of rank 3 and rounding: the inverse with the cut is that of the rank-3 part."""
        generator = torch.Generator().manual_seed(0)
        left, right = torch.randn(32, 3, generator=generator), torch.randn(3, 48, generator=generator)
        exact = left @ right
        rounded = exact + 1e-6 * torch.randn(32, 48, generator=generator)
        features = [1, 5]
        alone = inverse.vectors_of(rounded, torch.zeros(48), inputs, features)
        expected = torch.linalg.pinv(exact.double(), rtol=1e-3)[features].float()
        np.testing.assert_allclose(alone[inverse.CUT], unit(expected), atol=1e-3)
        np.testing.assert_allclose(alone[inverse.CUT], alone[inverse.UNBIASED], atol=1e-6)  # b is 0
        beyond = torch.linalg.svd(rounded)[0][:, 3:]
        assert (alone[inverse.INVERSE] @ beyond).square().sum(1).min() > 0.99

    def test_measures_every_kind(self, inputs, settings):
        measured = inverse.measure(inputs)
        assert [each["kind"] for each in measured["vectors"]] == list(inverse.KINDS)
        rows = {each["kind"]: each for each in measured["steered"]}
        assert rows[inverse.TARGETED]["difference_to_targeted"] == 0
        assert all(each["features"] == settings.features for each in rows.values())
        by_kind = {each["kind"]: each for each in measured["vectors"]}
        # No vector of length 1 has a larger predicted effect than the column itself.
        assert max(each["predicted"] for each in measured["vectors"]) == by_kind[inverse.COLUMN]["predicted"]

    def test_without_rounding_there_is_nothing_to_cut_off(self, inputs, monkeypatch):
        monkeypatch.setattr(inverse, "ROUNDING", 0.0)
        measured = inverse.measure(inputs)
        expected = [kind for kind in inverse.KINDS if kind != inverse.CUT]
        assert [each["kind"] for each in measured["vectors"]] == expected
        assert [each["kind"] for each in measured["steered"]] == expected
        assert measured["singular_values"]["above_rounding"] == measured["singular_values"]["number"]


class TestReach:
    def test_scores_are_those_of_the_formulas(self):
        rng = np.random.default_rng(0)
        predicted, usual = rng.normal(size=(9, 30)), rng.normal(size=30)
        measured = 2 * predicted + 1 + 0.1 * rng.normal(size=(9, 30))
        numbers = reach.compare_effects(measured, predicted, 3 * measured, usual)
        assert numbers["r2"]["estimate"] == pytest.approx(r2_uncentred(measured - usual, predicted - usual))
        a, b = measured - measured.mean(0), predicted - predicted.mean(0)
        assert numbers["correlation"]["estimate"] == pytest.approx((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
        assert numbers["gain"]["estimate"] == pytest.approx(2, abs=0.05)
        assert numbers["with_shipped"]["estimate"] == pytest.approx(1)
        assert numbers["r2"]["low"] <= numbers["r2"]["estimate"] <= numbers["r2"]["high"]

    def test_only_vectors_that_the_map_was_not_fitted_to(self, inputs, settings):
        assert not set(inputs.held_out.tolist()) & set(inputs.fitted.tolist())
        measured = reach.measure(inputs)
        assert measured["vectors"] == settings.held_out
        assert [each["multiple"] for each in measured["rows"]] == [1.0, 2.0]
        assert [each["hook"] for each in measured["geometry_of_texts"]] == [
            inputs.hook,
            "blocks.2.hook_resid_post",
            "features of the SAE",
        ]

    def test_the_same_seed_gives_the_shipped_effects(self, inputs):
        units, scales = unit(inputs.effects.vectors[:4]), inputs.effects.scales[:4]
        texts = inputs.generate(units, scales.tolist(), inputs.effects.settings.seed)
        np.testing.assert_allclose(inputs.effects_of(texts), inputs.effects.effects[:4], atol=2e-3)
