import json

import numpy as np
import pytest
import torch

from ssae_lens.dashboards.build import build_report
from ssae_lens.evals._decomposition import NO_THRESHOLD, WITH_THRESHOLD, decoded, read
from ssae_lens.methods import caa
from ssae_lens.models import tiny_model
from ssae_lens.sae import SSAE
from studies.decomposition import experiment as experiment_module
from studies.decomposition import measure, study
from studies.decomposition.experiment import DecompositionExperiment, activations_of, encoded
from studies.decomposition.measure import AROUND, BETWEEN, PURSUIT
from studies.decomposition.verdicts import code_of, verdicts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("decomposition")


@pytest.fixture(scope="module")
def result(model, features, two_tasks, settings, folder, learned_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecompositionExperiment, "_train", learned_once)
        return study(two_tasks, model=model, sae=features, settings=settings, out=folder, quiet=True)


class TestBench:
    def test_vector_is_that_of_caa(self, experiment, model, task, features):
        due = caa(model, task.contrasts, features.hook_name, kind="tokens", quiet=True).direction.numpy()
        np.testing.assert_allclose(experiment.sides(task).vector, due, atol=1e-5)

    def test_changes_are_means_over_pairs_of_texts(self, experiment, model, task, features):
        means = [
            np.stack([read(features.sae, activations_of(model, [text], features.hook_name)).mean(0) for text in texts])
            for texts in (task.contrasts["source"][:], task.contrasts["target"][:])
        ]
        np.testing.assert_allclose(experiment.sides(task).change, (means[1] - means[0]).mean(0), atol=1e-5)

    def test_activations_are_all_tokens_but_the_first(self, model, features):
        texts = ["The man was happy", "She said"]
        _, cache = model.run_with_cache(texts[0])
        rows = activations_of(model, texts, features.hook_name)
        due = cache[features.hook_name][0, 1:].numpy()
        assert any(np.allclose(rows[i : i + len(due)], due, atol=1e-5) for i in range(len(rows) - len(due) + 1))
        assert len(rows) == sum(len(model.to_tokens(text)[0]) - 1 for text in texts)


class TestMeasures:
    def test_code_at_a_length(self, result, experiment, task, features):
        told = code_of(result.vectors[0], "1", WITH_THRESHOLD)
        vector = experiment.sides(task).vector
        scaled = (vector / np.linalg.norm(vector) * experiment.mean_norm)[None]
        code = read(features.sae, scaled)
        assert told["active"] == (code > 0).sum()
        missed = scaled - decoded(features.sae, code)
        assert told["explained"] == pytest.approx(1 - (missed**2).sum() / (scaled**2).sum(), abs=1e-4)

    def test_what_falls_is_lost(self, result):
        for each in result.vectors:
            negative = [row for row in each["changed"] if row["change"] < 0]
            for code in each["codes"]:
                assert code["negative"] == len(negative)
                assert 0 <= code["lost"] <= code["negative"]

    def test_differences_of_encodings(self, result, experiment, task, features):
        vector = experiment.sides(task).vector
        around = (
            read(features.sae, experiment.activations + vector) - read(features.sae, experiment.activations)
        ).mean(0)
        rows = features.sae.W_dec.detach().numpy()
        for name, codes in ((AROUND, around), (BETWEEN, experiment.sides(task).change)):
            missed = vector - codes @ rows
            due = 1 - missed @ missed / (vector @ vector)
            assert result.vectors[0]["remedies"][name]["explained"] == pytest.approx(due, abs=1e-4)

    def test_zero_has_a_code_of_the_sae_and_none_of_the_ssae(self, result):
        assert (
            result.activations["zero"][WITH_THRESHOLD]["used"] == 12
        )  # of 48, those whose bias is above the threshold
        (ours,) = [each for each in result.cells if each["cell"]["part"] == "SSAE"]
        assert ours["zero"] == 0

    def test_own_latent_has_the_sign_of_its_label(self, result):
        ours = result.vectors[0]["ssae"]
        assert ours["explained"] == pytest.approx(1, abs=1e-4)
        assert (ours["latent"], ours["sign_right"], ours["rank"]) == (0, True, 1)
        assert ours["codes"][0] == pytest.approx(-result.vectors[0]["norm"], rel=1e-4)
        assert "ssae" not in result.vectors[1]


class TestVerdicts:
    def test_bias_above_the_threshold_is_the_papers_finding(self, result):
        found = {each["finding"]: each["again"] for each in result.verdicts}
        assert found["The zero vector has a code"] == "yes"
        assert found["Features that a behaviour lowers are lost"] in ("yes", "in part", "no", "nothing to tell by")
        assert found["The SSAE's code of the zero vector"] == "zero"
        assert found["The SSAE's signs"] == "right"

    def test_threshold_above_the_bias_is_not(self, result):
        seen = json.loads(json.dumps(result.activations))
        seen["zero"][WITH_THRESHOLD] |= {"used": 0, "largest": 0.0}
        found = {each["finding"]: each["again"] for each in verdicts(seen, result.vectors, [])}
        assert found["The zero vector has a code"].startswith("no, but yes without")
        seen["zero"][NO_THRESHOLD] |= {"used": 0, "features": []}
        found = {each["finding"]: each["again"] for each in verdicts(seen, result.vectors, [])}
        assert found["The zero vector has a code"] == "no"
        assert found["A vector's strongest features are the zero vector's"] == "no"

    def test_a_wrong_sign_is_said(self, result):
        vectors = json.loads(json.dumps(result.vectors))
        vectors[0]["ssae"]["sign_right"] = False
        found = verdicts(result.activations, vectors, [{"zero": 1e-3}])
        assert [each["again"] for each in found[-3:-1]] == ["not zero", "not all right"]


class TestResult:
    def test_text_says_what_is_found(self, result):
        text = result.text()
        for said in ("happiness", "joy", "Mayne", "random directions", "where baselines win", "signed pursuit"):
            assert said.lower() in text.lower()

    def test_report_takes_what_is_written(self, result, tmp_path):
        result.save(tmp_path)
        kept = json.loads((tmp_path / "decomposition.json").read_text())
        assert {"features", "summary", "verdicts", "table", "cells", "versions"} <= kept.keys()
        assert "plotly" in (tmp_path / "decomposition.html").read_text(encoding="utf-8")
        rows = torch.eye(2, 32)
        made = SSAE.from_weights(rows.T, rows)
        report = build_report(made, decomposition=tmp_path / "decomposition.json", quiet=True).to_dict()
        assert [vector for vector, _ in report["decomposition"]["vectors"]] == ["happiness", "joy"]
        assert len(report["decomposition"]["summary"]) == len(result.summary)

    def test_a_figure_for_each_finding(self, result):
        assert set(result.figures()) == {
            "norms",
            "zero vector",
            "scaling",
            "negative projections",
            "spurious features",
            "remedies",
            "SSAE",
        }

    def test_says_where_ours_explains_less(self, result):
        cells = json.loads(json.dumps(result.cells))
        vector = next(each for each in cells if "ssae" in each)
        vector["ssae"]["explained"] = vector["remedies"][PURSUIT]["explained"] - 0.1
        vector["ssae"]["rank"] = 2
        said = type(result)(cells, result.about).where_baselines_win()
        assert len(said) == 2
        assert "rank 2, its sign is right" in said[0]


class TestGoingOn:
    def test_nothing_is_measured_twice(self, result, model, features, two_tasks, settings, folder, monkeypatch):
        def never(*_args):
            raise AssertionError("measured again")

        for name in ("of_activations", "of_vector", "of_ssae"):
            monkeypatch.setattr(measure, name, never)
        again = study(two_tasks, model=model, sae=features, settings=settings, out=folder, quiet=True)
        assert again.cells == result.cells

    def test_an_ssae_is_learned_once_and_read_back(self, model, features, task, settings, tmp_path, monkeypatch):
        made = DecompositionExperiment(model, features, settings, tmp_path)
        sweep = experiment_module.sweep
        monkeypatch.setattr(experiment_module, "sweep", lambda *args, **more: sweep(*args, **more, steps=30))
        first, concepts = made.ssae(task.unlabelled, task.position)
        monkeypatch.setattr(experiment_module, "sweep", None)
        second, again = DecompositionExperiment(model, features, settings, tmp_path).ssae(
            task.unlabelled, task.position
        )
        assert (first.W_dec == second.W_dec).all()
        assert concepts == again
        assert abs(encoded(first, np.zeros((1, 32)))[0]).max() <= 1e-6


def test_what_cannot_be_taken_apart(task, settings):
    with pytest.raises(ValueError, match="tasks is empty"):
        study([], settings=settings)
    with pytest.raises(ValueError, match="ships with the package"):
        study([task], model=tiny_model("gpt2"), settings=settings, quiet=True)
    with pytest.raises(ValueError, match="lengths"):
        type(settings)(lengths=(0.0,))
