import json

import dashboard_samples as samples
import numpy as np
import pytest
import torch

from ssae_lens.dashboards import write_neuronpedia, write_vector_set
from ssae_lens.latents.describe import LatentDescription, ShownPair, describe_latents
from ssae_lens.steering_vector import SteeringVector

# What `NeuronpediaDashboardFeature.to_dict` and `NeuronpediaDashboardActivation.to_dict` of SAEDashboard 0.8.0 give.
FEATURE = """
    feature_index neuron_alignment_indices neuron_alignment_values neuron_alignment_l1 correlated_neurons_indices
    correlated_neurons_l1 correlated_neurons_pearson correlated_features_indices correlated_features_l1
    correlated_features_pearson neg_str neg_values pos_str pos_values frac_nonzero freq_hist_data_bar_values
    freq_hist_data_bar_heights logits_hist_data_bar_heights logits_hist_data_bar_values n_prompts_total n_tokens_in_prompt
    dataset decoder_weights_dist activations vector
"""
ACTIVATION = "bin_min bin_max bin_contains tokens values qualifying_token_index"
VECTORS = """
    d_in d_vectors vector_names model_name hook_name hook_layer hook_head_index prepend_bos context_size dataset_path dtype
    device model_from_pretrained_kwargs
"""


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    shifts, ssae = samples.store(), samples.ssae(dead=(5,))
    said = describe_latents(ssae, shifts, latents=[0, 5], n_pairs=3, quiet=True)
    path = write_neuronpedia(
        tmp_path_factory.mktemp("np") / "batch-0.json", ssae, shifts, said, model_id="smollm2-135m"
    )
    return json.loads(path.read_text())


def test_a_batch_says_what_it_is_of(batch):
    assert {name: batch[name] for name in batch if name != "features"} == {
        "model_id": "smollm2-135m",
        "layer": 1,
        "sae_set": "ssae",
        "sae_id_suffix": None,
    }
    assert [each["feature_index"] for each in batch["features"]] == list(range(6))


def test_features_have_neuronpedias_keys(batch):
    for feature in batch["features"]:
        assert sorted(feature) == sorted(FEATURE.split())
        for activation in feature["activations"]:
            assert sorted(activation) == sorted(ACTIVATION.split())


def test_numbers_are_those_of_the_codes(batch):
    codes = samples.store().shifts[:, :6]
    feature = batch["features"][0]
    assert sum(feature["freq_hist_data_bar_heights"]) == len(codes)
    # Latent 5 never fires, and correlates with nothing.
    related = np.append(np.corrcoef(codes[:, :5].T)[0, 1:], 0)
    assert feature["correlated_features_indices"] == (1 + np.argsort(-related)[:3]).tolist()
    np.testing.assert_allclose(feature["correlated_features_pearson"], np.sort(related)[::-1][:3], rtol=1e-4)
    row = np.eye(16)[0] + 0.05
    np.testing.assert_allclose(feature["vector"], row, rtol=1e-5)
    np.testing.assert_allclose(feature["neuron_alignment_l1"], np.sort(row)[::-1][:3] / row.sum(), rtol=1e-5)
    assert batch["features"][5]["frac_nonzero"] == 0


def test_activations_are_pairs_marked_where_they_differ(batch):
    shown = batch["features"][0]["activations"]
    assert len(shown) == 6
    first = shown[0]
    assert "".join(first["tokens"]).startswith("The old walks")
    assert " → " in first["tokens"]
    marked = [token for token, value in zip(first["tokens"], first["values"], strict=True) if value]
    assert " walked" in marked
    assert first["tokens"].index(" → ") < first["values"].index(max(first["values"])) == first["qualifying_token_index"]
    assert max(first["values"]) == pytest.approx(samples.store().shifts[:, 0].max(), rel=1e-5)
    assert min(shown[3]["values"]) < 0
    assert batch["features"][1]["activations"] == []


def test_what_only_lost_words_is_marked_at_the_arrow(tmp_path):
    pair = ShownPair(0, 2.0, "so very good", "so good", [(3, 7)], [])
    said = LatentDescription(0, positive=[pair], negative=[])
    path = write_neuronpedia(tmp_path / "b.json", samples.ssae(), samples.store(n=20), [said])
    shown = json.loads(path.read_text())["features"][0]["activations"][0]
    assert shown["tokens"] == ["so", " very", " good", " → ", "so", " good"]
    assert shown["values"] == [0, 0, 0, 2, 0, 0]
    assert shown["qualifying_token_index"] == 3


def test_what_is_not_a_number_is_refused(tmp_path):
    ssae = samples.ssae()
    ssae.W_dec.data[3] = torch.nan
    with pytest.raises(ValueError, match="Latent 3 holds NaN or infinity"):
        write_neuronpedia(tmp_path / "b.json", ssae, samples.store(n=20))


def test_vectors_are_saedashboards_set(tmp_path):
    path = write_vector_set(tmp_path / "set.json", {"a": samples.along(0), "b": samples.along(3)}, context_size=64)
    written = json.loads(path.read_text())
    assert sorted(written) == ["config", "vectors"]
    assert sorted(written["config"]) == sorted(VECTORS.split())
    np.testing.assert_allclose(written["vectors"], np.eye(16)[[0, 3]] + 0.1, rtol=1e-6)
    config = written["config"]
    assert (config["d_in"], config["d_vectors"], config["vector_names"]) == (16, 2, ["a", "b"])
    assert (config["hook_name"], config["hook_layer"], config["model_name"]) == (samples.HOOK, 1, "tiny")


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        ([SteeringVector([1.0], "ln_final.hook_normalized")], "is in no block"),
        ([samples.along(0), SteeringVector(torch.ones(16), "blocks.2.hook_resid_post")], "not of one set"),
    ],
)
def test_a_set_is_of_one_hook_in_a_block(tmp_path, vectors, match):
    with pytest.raises(ValueError, match=match):
        write_vector_set(tmp_path / "set.json", vectors)
