"""From a user's own CSV file or chat messages to a vector of each concept, by the API and by the command line."""

import numpy as np
import own_pairs
import pytest
from typer.testing import CliRunner

import ssae_lens as sl
from ssae_lens.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("smollm2")]

HOOK = "blocks.15.hook_resid_post"
FORMAL_LATENTS = 5


def cosines_with_mean_shifts(vectors, shifts):
    """Return each concept's cosine with the mean shift of the pairs in which it changes."""
    cosines = {}
    for name, changes in zip(shifts.concepts, np.asarray(shifts.labels, dtype=float).T, strict=True):
        mean = (changes[:, None] * shifts.shifts)[changes != 0].mean(0)
        direction = vectors[name].direction.numpy()
        cosines[name] = direction @ mean / np.linalg.norm(direction) / np.linalg.norm(mean)
    return cosines


def test_from_python_in_a_dozen_lines(tmp_path):
    own_pairs.write(tmp_path / "mine.csv")
    model = sl.load_model("smollm2-135m")
    pairs = sl.load_pairs(tmp_path / "mine.csv", label_columns=["formality", "tense", "enthusiasm"])
    shifts = sl.capture_shifts(model, pairs, HOOK, quiet=True)
    ssae = sl.sweep(shifts, d_sae=[4, 8, 12], quiet=True).best
    described = sl.describe_latents(ssae, shifts, quiet=True)
    concepts = sl.match_concepts(ssae, shifts)
    vectors = sl.VectorSet.from_ssae(ssae, concepts)
    vectors.save(tmp_path / "vectors.safetensors")
    with sl.steer(model, vectors["tense"], scale=2.0):
        text = model.generate("Today the garden", max_new_tokens=4, temperature=0.0, verbose=False)
    assert text.startswith("Today the garden")
    assert min(cosines_with_mean_shifts(vectors, shifts).values()) > 0.85
    assert len(concepts["formality"].latents) == FORMAL_LATENTS
    labels = " ".join(each.label for each in described)
    assert all(word in labels for word in ("colleagues", "guests", "ladies and gentlemen", "!!!", "seemed"))


def test_from_the_command_line_in_six_commands(tmp_path):
    own_pairs.write(tmp_path / "mine.csv", seed=2)

    def run(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result.stdout

    shifts, ssae, vectors = tmp_path / "mine.h5", tmp_path / "my-ssae", tmp_path / "vectors.safetensors"
    labels = [word for name in own_pairs.CONCEPTS for word in ("--label-columns", name)]
    run("capture", "smollm2-135m", tmp_path / "mine.csv", "--hook", HOOK, *labels, "--out", shifts, "--quiet")
    run("sweep", shifts, "--d-sae", 8, "--out", ssae, "--quiet")
    assert "ladies and gentlemen" in run("describe", ssae, "--shifts", shifts, "--quiet")
    run("vector", ssae, "--shifts", shifts, "--out", vectors)
    texts = run("steer", "smollm2-135m", "--vector", vectors, "--prompt", "Today", "--max-new-tokens", 3, "--quiet")
    run("dashboard", ssae, "--shifts", shifts, "--out", tmp_path / "report.html", "--quiet")
    assert [line.partition(" ")[0] for line in texts.splitlines()] == [
        name for name in own_pairs.CONCEPTS for _ in (0, 1)
    ]
    assert min(cosines_with_mean_shifts(sl.VectorSet.load(vectors), sl.open_shifts(shifts)).values()) > 0.85


def test_from_chat_messages():
    """The same texts as replies of an assistant, read in the last turn of the model's chat template."""
    asked = [{"role": "user", "content": "Announce something about the place."}]
    rows = [
        {**row, **{side: [*asked, {"role": "assistant", "content": row[side]}] for side in ("source", "target")}}
        for row in own_pairs.rows()
    ]
    model = sl.load_model("smollm2-135m")
    pairs = sl.load_pairs(rows, label_columns=own_pairs.CONCEPTS, tokenizer=model.tokenizer)
    shifts = sl.capture_shifts(model, pairs, HOOK, quiet=True)
    ssae = sl.sweep(shifts, d_sae=8, quiet=True).best
    vectors = sl.VectorSet.from_ssae(ssae, sl.match_concepts(ssae, shifts))
    assert min(cosines_with_mean_shifts(vectors, shifts).values()) > 0.85
