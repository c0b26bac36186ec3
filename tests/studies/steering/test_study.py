import json
from dataclasses import replace

import numpy as np
import pytest

from ssae_lens.evals import Intervention
from ssae_lens.evals.shipped_sae import ModelSAE
from ssae_lens.metrics import sign_flip_test
from ssae_lens.models import tiny_model
from studies.steering import METHODS, LearningCache, SteeringMethod, study
from studies.steering.measure import PARTS, StudyExperiment

WORD = " happy"
METHODS_HERE = ("CAA", "CAA, answer", "SAE feature", "random", "prompting")


@pytest.fixture(scope="module")
def methods(planted):
    # What stands where the SSAE would, so that others are held against it.
    return {
        "SSAE": SteeringMethod(lambda _cache, _task: planted, "the answer"),
        **{name: METHODS[name] for name in METHODS_HERE},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def several(task, settings):
    return [task, replace(task, name="joy")], replace(
        settings, long_tasks=("joy",), layer_tasks=("joy",), depths=(0.0,)
    )


@pytest.fixture(scope="module")
def result(model, several, methods, folder):
    tasks, settings = several
    return study(tasks, model=model, methods=methods, settings=settings, out=folder, quiet=True)


class TestTable:
    def test_has_every_method_on_every_task_and_an_unsteered_row(self, result):
        named = set(zip(result.table["task"], result.table["method"], strict=True))
        assert named == {(task, name) for task in ("happiness", "joy") for name in ("SSAE", *METHODS_HERE, "unsteered")}
        assert len(result.table) == len(named)

    def test_planted_vector_wins_and_random_is_near_nothing(self, result):
        by = result.summary.set_index("method")
        assert by["behaviour"].idxmax() == "SSAE"
        assert by.loc["SSAE", "behaviour"] == 1
        assert by.loc["random", "behaviour"] < 0.5
        assert by.loc["SSAE", "anti_steerable"] == 0

    def test_reports_at_the_scale_that_the_other_half_chose(self, result):
        for each in result.cells:
            if each["cell"]["part"] == "dose" and each["cell"]["hook"] == result.about["hook"]:
                product = np.mean(each["behaviour"], axis=1) * np.mean(each["coherence"], axis=1)
                row = result.table[
                    (result.table["task"] == each["cell"]["task"]) & (result.table["method"] == each["cell"]["method"])
                ]
                assert row["scale"].item() == each["scales"][int(product.argmax())]

    def test_scores_are_those_of_the_formulas(self, result):
        report = next(each for each in result.cells if each["cell"]["part"] == "report")
        behaviour, coherence = np.array(report["behaviour"]), np.array(report["coherence"])
        row = result.table[
            (result.table["task"] == report["cell"]["task"]) & (result.table["method"] == report["cell"]["method"])
        ].iloc[0]
        assert row["product"] == pytest.approx(behaviour.mean() * coherence.mean())
        both = np.where(behaviour * coherence > 0, 2 * behaviour * coherence / (behaviour + coherence), 0)
        assert row["harmonic"] == pytest.approx(both.mean())
        assert row["product_low"] <= row["product"] <= row["product_high"]

    def test_tests_are_paired_over_tasks(self, result):
        wide = result.table.pivot_table(index="task", columns="method", values="product")
        found = result.summary.set_index("method")
        test = sign_flip_test(wide["CAA"].to_numpy(), wide["SSAE"].to_numpy())
        assert found.loc["CAA", "p"] == pytest.approx(test.p_value)
        assert found.loc["CAA", "less_ours"] == pytest.approx(test.difference)

    def test_says_what_could_not_be_tried(self, result):
        why = result.table.set_index(["task", "method"])["why"]
        assert "no questions" in why["joy", "CAA, answer"]
        assert "ships with the package" in why["joy", "SAE feature"]

    def test_layers_and_long_texts_are_those_that_were_asked_for(self, result):
        assert set(result.layers["task"]) == {"joy"}
        assert result.layers["chosen"].sum() == 1
        late = result.table.set_index(["task", "method"])["late"]
        assert late["joy", "SSAE"] == 1
        assert np.isnan(late["happiness", "SSAE"])


class TestResult:
    def test_text_says_all_there_is_to_doubt(self, result):
        text = result.text()
        for said in (
            "unsteered",
            "words before the prompt",
            "the share of labelled texts",
            "your function",
            "Chance: random vectors",
            "every task: no SAE of tiny-gpt2 ships with the package",
            "Where baselines win",
            "CAA by layer",
        ):
            assert said in text

    def test_is_kept_as_json_and_as_a_page(self, result, tmp_path):
        result.save(tmp_path)
        kept = json.loads((tmp_path / "steering.json").read_text())
        assert len(kept["table"]) == len(result.table)
        assert kept["about" if "about" in kept else "model"]
        assert {"summary", "layers", "judges", "versions", "missing"} <= kept.keys()
        assert "plotly" in (tmp_path / "steering.html").read_text(encoding="utf-8")

    def test_figure_has_a_curve_for_every_method(self, result):
        drawn = {trace.name for trace in result.figure().data}
        assert {"SSAE", "CAA", "random", "unsteered", "Pareto front"} <= drawn

    def test_says_where_baselines_win(self, result):
        assert not any("SSAE" in each and "unsteered" in each for each in result.where_baselines_win())
        others = [each for each in result.cells if each["cell"]["method"] != "SSAE"]
        alone = type(result)(others, result.about)
        alone.about["methods"].pop("SSAE", None)
        assert alone.where_baselines_win() == ["the SSAE was not tried"]


class TestGoingOn:
    def test_nothing_is_measured_or_learned_twice(self, result, model, several, methods, folder, monkeypatch):
        def never(*_args, **_more):
            raise AssertionError("measured again")

        for name in PARTS:
            monkeypatch.setitem(PARTS, name, never)
        monkeypatch.setattr(LearningCache, "contrasts", never)
        tasks, settings = several
        again = study(tasks, model=model, methods=methods, settings=settings, out=folder, quiet=True)
        assert again.cells == result.cells

    def test_a_lost_cell_alone_is_measured_again(self, result, model, several, methods, folder, monkeypatch):
        kept = sorted((folder / "cells").iterdir())
        lost = next(path for path in kept if json.loads(path.read_text())["cell"]["part"] == "dose")
        lost.write_text("{")
        seen = []
        whole = StudyExperiment.scale_sweep
        monkeypatch.setitem(PARTS, "dose", lambda *given: seen.append(1) or whole(*given))
        tasks, settings = several
        again = study(tasks, model=model, methods=methods, settings=settings, out=folder, quiet=True)
        assert len(seen) == 1
        same = [{k: v for k, v in each.items() if k != "cpu_seconds"} for each in again.cells]
        assert same == [{k: v for k, v in each.items() if k != "cpu_seconds"} for each in result.cells]


class TestBadInput:
    def test_no_tasks_or_two_of_one_name(self, model, task):
        with pytest.raises(ValueError, match="tasks is empty"):
            study([], model=model)
        with pytest.raises(ValueError, match="two called 'happiness'"):
            study([task, task], model=model)

    def test_prompts_beyond_what_the_model_reads(self, model, task, settings):
        long = replace(task, choosing=("word " * 300, "She"))
        with pytest.raises(ValueError, match="beyond the 256 that the model reads"):
            study([long], model=model, settings=settings)

    def test_held_out_texts_with_nothing_to_predict(self, task, settings):
        # Without a beginning of sequence the first token of a text is not predicted.
        bare = tiny_model("gpt2", default_prepend_bos=False)
        short = replace(task, positive=(WORD, *task.positive[1:]))
        with pytest.raises(ValueError, match="' happy' of one token"):
            study([short], model=bare, settings=settings)

    def test_settings(self, settings):
        with pytest.raises(ValueError, match="scales is 0"):
            replace(settings, scales=(0.0,))
        with pytest.raises(ValueError, match="with 0 among them"):
            replace(settings, multipliers=(1.0, 2.0))
        with pytest.raises(ValueError, match="Early and late"):
            replace(settings, long_tokens=7)


class TestLearningCache:
    def test_vectors_have_one_length(self, model, task, settings):
        cache = LearningCache(model, "", settings)
        ways = [METHODS[name].make(cache, task) for name in ("CAA", "mean shift", "PCA", "linear probe", "random")]
        norms = {way.vector.norms["mean_residual_norm"] for way in ways}
        assert len(norms) == 1
        assert all(way.vector.direction.norm().item() == pytest.approx(1) for way in ways)

    def test_mean_shift_of_a_pool_goes_the_task_s_way(self, model, settings):
        from ssae_lens.evals import built_in

        cache = LearningCache(model, "", settings)
        first = next(iter(built_in(["first person"], n_pairs=60)))
        made = METHODS["mean shift"].make(cache, first).vector.direction
        other = METHODS["mean shift"].make(cache, replace(first, name="third", sign=1)).vector.direction
        np.testing.assert_allclose(made, -other, atol=1e-6)

    def test_features_are_used_where_they_are_given(self, model, task, settings):
        from sae_lens import StandardSAE, StandardSAEConfig

        sae = StandardSAE(StandardSAEConfig(d_in=32, d_sae=48))
        sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
        cache = LearningCache(model, "", settings, sae=ModelSAE(sae, "blocks.1.hook_resid_post"))
        way = METHODS["SAE feature"].make(cache, task)
        latent = cache.feature(task, cache.sae)
        row = sae.W_dec[latent].detach()
        np.testing.assert_allclose(way.vector.direction, row / row.norm(), atol=1e-6)
        with pytest.raises(ValueError, match="no map of effects"):
            METHODS["SAE-TS"].make(cache, task)
        assert isinstance(METHODS["unsteered"].make(cache, task), Intervention)
