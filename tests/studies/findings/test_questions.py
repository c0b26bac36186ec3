import numpy as np
import pytest
import torch

from ssae_lens.hooks._steer import steer
from ssae_lens.methods.sae_ts import targeted
from ssae_lens.metrics import r2_uncentred
from studies.findings import coherence, inverse, layers, reach, said
from studies.findings.material import unit


class TestCoherence:
    @pytest.fixture(scope="class")
    def found(self, material):
        return coherence.measure(material)

    def test_has_every_vector_and_temperature(self, found, settings):
        rows = [(each["vector"], each["temperature"]) for each in found["rows"]]
        assert len(rows) == len(set(rows)) == (settings.rows + 1 + 2) + 3
        assert found["points"] == settings.rows + 1 + 2

    def test_a_low_temperature_narrows_the_choice(self, found):
        plain = {
            each["temperature"]: np.mean(each["entropy"]) for each in found["rows"] if each["vector"] == "unsteered"
        }
        assert plain[0.3] < plain[0.7] < plain[1.5]

    def test_loss_and_entropy_are_those_of_the_model(self, material):
        unit_row = unit(material.effects.vectors[:1])
        texts = material.written(unit_row, [2.0], seed=0)
        loss, entropy = coherence._likelihoods(material, texts, unit_row, [2.0], 0.7)
        tokens, made = texts.tokens[0, 0], texts.generated[0, 0]
        chances = material.model(tokens[None])[0].log_softmax(-1)
        due = [-chances[i - 1, tokens[i]].item() for i in range(len(tokens)) if made[i]]
        assert loss[0, 0] == pytest.approx(np.mean(due), rel=1e-4)
        with steer(material.model, material.vectors(unit_row)[0], scale=2.0):
            drawn = torch.distributions.Categorical(logits=material.model(tokens[None])[0] / 0.7)
        due = [drawn.entropy()[i - 1].item() for i in range(len(tokens)) if made[i]]
        assert entropy[0, 0] == pytest.approx(np.mean(due), rel=1e-4)

    def test_a_rise_that_a_narrower_choice_explains_leaves_nothing(self):
        def row(vector, temperature, entropy, height):
            many = {name: [value] * 16 for name, value in (("loss", 1.0), ("distinct", 1.0), ("names", 0.0))}
            return {"vector": vector, "scale": 0.1, "temperature": temperature, **many} | {
                "entropy": [entropy] * 16,
                "coherence": [height] * 16,
            }

        plain = [row("unsteered", 0.3, 1.0, 0.8), row("unsteered", 0.7, 2.0, 0.6), row("unsteered", 1.0, 3.0, 0.4)]
        steered = [row("a", 0.7, 1.5, 0.7), row("b", 0.7, 2.5, 0.5), row("c", 0.7, 1.0, 0.8)]
        told = coherence.told([*plain, *steered])
        assert told["above"] == 2
        assert told["best"]["vector"] == "c"
        assert told["best"]["reported"]["estimate"] == pytest.approx(0.2)
        assert told["entropy"]["estimate"] == pytest.approx(-1)
        assert told["left"]["estimate"] == pytest.approx(0)
        assert (
            told["of_those_above"]["rise"] == pytest.approx(told["of_those_above"]["expected"]) == pytest.approx(0.15)
        )
        assert told["of_those_above"]["by_likelihood"] == pytest.approx(0.15)

    @pytest.mark.parametrize(
        ("text", "share"), [("Anna met Bob", 2 / 3), ("he saw. Then it rained", 0), ("I'm here and I go", 0), ("", 0)]
    )
    def test_names(self, text, share):
        assert coherence.names(text) == pytest.approx(share)


class TestLayers:
    def test_the_change_is_the_vector_where_it_is_added(self, material):
        found = layers.measure(material)
        own, later = found["layers"]
        assert own["hook"] == material.hook
        assert own["cosine"]["estimate"] == pytest.approx(1, abs=1e-5)
        assert own["steady"]["estimate"] == pytest.approx(1, abs=1e-4)
        assert own["geometry"]["estimate"] == pytest.approx(found["of_vectors"]["estimate"], abs=1e-3)
        assert later["hook"] == "blocks.2.hook_resid_post"
        assert later["cosine"]["estimate"] < 1
        assert 0 < later["steady"]["estimate"] <= 1

    def test_later_change_is_the_difference_of_two_passes(self, material):
        rows = material.fitted[:1]
        units, scales = unit(material.effects.vectors[rows]), material.effects.scales[rows]
        hook = "blocks.2.hook_resid_post"
        moved, *_ = layers._moved(material, units, scales, [hook])
        due = []
        for text in material.effects.settings.texts:
            _, plain = material.model.run_with_cache(text)
            with steer(material.model, material.vectors(units)[0], scale=scales[0].item()):
                _, now = material.model.run_with_cache(text)
            due.append((now[hook] - plain[hook])[0, 1:])
        np.testing.assert_allclose(moved[hook][0], torch.cat(due).mean(0), atol=1e-5)


class TestInverse:
    def test_ways_are_those_of_sae_ts(self, material):
        features = material.raised[:3]
        ways = inverse._ways(material.approximator.M, material.approximator.b, material, features)
        for number, feature in enumerate(features):
            due = targeted(material.approximator, feature).direction
            np.testing.assert_allclose(ways[inverse.TARGETED][number], due, atol=1e-5)
        assert torch.allclose(ways[inverse.ROW], material.sae.W_dec[features], atol=1e-5)

    def test_what_rounding_leaves_is_cut_off(self, material):
        """A map of rank 3 and rounding: the inverse with the cut is that of the rank-3 part."""
        generator = torch.Generator().manual_seed(0)
        left, right = torch.randn(32, 3, generator=generator), torch.randn(3, 48, generator=generator)
        exact = left @ right
        rounded = exact + 1e-6 * torch.randn(32, 48, generator=generator)
        features = [1, 5]
        alone = inverse._ways(rounded, torch.zeros(48), material, features)
        due = torch.linalg.pinv(exact.double(), rtol=1e-3)[features].float()
        np.testing.assert_allclose(alone[inverse.CUT], unit(due), atol=1e-3)
        np.testing.assert_allclose(alone[inverse.CUT], alone[inverse.ALONE], atol=1e-6)  # b is 0
        beyond = torch.linalg.svd(rounded)[0][:, 3:]
        assert (alone[inverse.WHOLE] @ beyond).square().sum(1).min() > 0.99

    def test_measures_every_way(self, material, settings):
        found = inverse.measure(material)
        assert [each["way"] for each in found["vectors"]] == list(inverse.WAYS)
        rows = {each["way"]: each for each in found["measured"]["rows"]}
        assert rows[inverse.TARGETED]["less_targeted"] == 0
        assert all(len(each["values"]) == settings.features for each in rows.values())
        by_way = {each["way"]: each for each in found["vectors"]}
        # No vector of length 1 has a larger predicted effect than the column itself.
        assert max(each["predicted"] for each in found["vectors"]) == by_way[inverse.COLUMN]["predicted"]

    def test_without_rounding_there_is_nothing_to_cut_off(self, material, monkeypatch):
        monkeypatch.setattr(inverse, "ROUNDING", 0.0)
        found = inverse.measure(material)
        due = [way for way in inverse.WAYS if way != inverse.CUT]
        assert [each["way"] for each in found["vectors"]] == due
        assert [each["way"] for each in found["measured"]["rows"]] == due
        assert "all of them above rounding" in next(said.inverse(found))


class TestReach:
    def test_scores_are_those_of_the_formulas(self):
        rng = np.random.default_rng(0)
        predicted, usual = rng.normal(size=(9, 30)), rng.normal(size=30)
        found = 2 * predicted + 1 + 0.1 * rng.normal(size=(9, 30))
        told = reach.compared(found, predicted, 3 * found, usual)
        assert told["r2"]["estimate"] == pytest.approx(r2_uncentred(found - usual, predicted - usual))
        a, b = found - found.mean(0), predicted - predicted.mean(0)
        assert told["correlation"]["estimate"] == pytest.approx((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
        assert told["gain"]["estimate"] == pytest.approx(2, abs=0.05)
        assert told["with_shipped"]["estimate"] == pytest.approx(1)
        assert told["r2"]["low"] <= told["r2"]["estimate"] <= told["r2"]["high"]

    def test_only_vectors_that_the_map_was_not_fitted_to(self, material, settings):
        assert not set(material.held_out.tolist()) & set(material.fitted.tolist())
        found = reach.measure(material)
        assert found["vectors"] == settings.held_out
        assert [each["multiple"] for each in found["rows"]] == [1.0, 2.0]
        assert [each["hook"] for each in found["later"]] == [
            material.hook,
            "blocks.2.hook_resid_post",
            "the SAE's features again",
        ]

    def test_the_same_seed_gives_the_shipped_effects(self, material):
        units, scales = unit(material.effects.vectors[:4]), material.effects.scales[:4]
        texts = material.written(units, scales.tolist(), material.effects.settings.seed)
        np.testing.assert_allclose(material.effects_of(texts), material.effects.effects[:4], atol=2e-3)
