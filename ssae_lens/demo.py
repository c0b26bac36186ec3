"""The demonstration: unlabelled pairs in which several things change, their steering vectors, sentences steered by them.

Everything it makes goes into one folder, and a report of it, `report.html`, beside.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssae_lens.dashboards.build import build_report
from ssae_lens.dashboards.page import write_report
from ssae_lens.dashboards.studies import comparison_of
from ssae_lens.evals.steering import METHODS, Lab, Method, Result, Settings, Task, Way, built_in, study
from ssae_lens.evals.steering.methods import UNLABELLED
from ssae_lens.hooks import capture_shifts
from ssae_lens.latents.concepts import Concepts
from ssae_lens.latents.describe import describe_latents
from ssae_lens.latents.match import match_concepts
from ssae_lens.metrics import latent_stability
from ssae_lens.models import load_model
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.training import sweep
from ssae_lens.training._train import best_of
from ssae_lens.training.sweep_result import Sweep

MODEL, HOOK = "smollm2-135m", "blocks.15.hook_resid_post"
PAIRS, WIDTHS, SEEDS = 1000, (16, 24), 3
TASKS = ("positive sentiment", "past tense", "politeness")
BESIDE = ("CAA", "SAE-TS", "unsteered")
SETTINGS = Settings(
    scales=(0.1, 0.2, 0.35),
    multipliers=(-1.0, 0.0, 1.0),
    n_texts=12,
    max_new_tokens=20,
    temperature=0.0,
    n_pairs=PAIRS,
    n_seeds=SEEDS,
    n_contents=1,
    long_tasks=(),
    layer_tasks=(),
)
PROMPTS = 3
# Of the texts on the pages of the latents steered.
SHOWN = (-0.35, -0.2, 0.2, 0.35)


def run(out: str | Path = "ssae-demo", *, quiet: bool = False) -> Path:
    """Find the concepts of unlabelled pairs in SmolLM2, steer sentences towards three of them, and write a report.

    Parameters
    ----------
    out
        The folder for the shifts, the SSAE, and the report.
    quiet
        Show no progress.

    Returns
    -------
    pathlib.Path
        The report.
    """
    out = Path(out)
    print(f"1. Opening {MODEL}, a language model of 135 million parameters.")
    model = load_model(MODEL)
    tasks = [each.with_prompts(PROMPTS) for each in built_in(TASKS, n_pairs=PAIRS)]
    pool = tasks[0].pool
    assert pool is not None
    row = pool.pairs[0]
    print(f"2. {len(pool.pairs)} pairs of sentences; in each, one to three things change, and nothing says which:")
    print(f"     {row['source']}\n   → {row['target']}")
    shifts = capture_shifts(model, pool.pairs, HOOK, position="mean", path=out / "shifts.h5", quiet=quiet)
    print(f"3. SSAEs learn from their shifts at {HOOK}; the width of which most recurs in both halves is kept.")
    swept = sweep(shifts, d_sae=WIDTHS, seeds=SEEDS, out=out / "ssae", quiet=quiet)
    ssae = swept.best
    table = swept.table()[["d_sae", "udr_decoders", "split_half_score", "fvu", "active"]]
    for line in table.to_string(index=False).splitlines():
        print(f"     {line}")
    print(f"   {ssae.outcome.message}")
    concepts = match_concepts(ssae, shifts)
    print("4. Labels, looked at only now, say which latent is which concept:")
    for line in repr(concepts).splitlines()[1:]:
        print(f"   {line}")
    print(f"5. Steering {PROMPTS} unfinished sentences towards {', '.join(TASKS)}, beside methods that need labels.")
    vectors: dict[str, dict[str, SteeringVector]] = {}

    def ours(lab: Lab, task: Task) -> Way:
        vector = SteeringVector.from_ssae(ssae, concepts[task.concept], hook_name=HOOK) * task.sign
        return Way(lab.of_one_length(vector))

    def noted(name: str) -> Method:
        """Note what a method makes, turned to where the concept rises."""

        def make(lab: Lab, task: Task) -> Way:
            way = METHODS[name].make(lab, task)
            if way.vector is not None:
                vectors.setdefault(task.concept, {})[name] = way.vector * task.sign
            return way

        return Method(make, METHODS[name].given)

    methods = {"SSAE": Method(ours, UNLABELLED), **{name: noted(name) for name in BESIDE}}
    result = study(tasks, model=model, hook=HOOK, methods=methods, settings=SETTINGS, quiet=quiet)
    _show(result)
    steered = [latent for task in tasks if (latent := concepts[task.concept].latent) is not None]
    descriptions = {each.latent: each for each in describe_latents(ssae, shifts, model, quiet=quiet)}
    shown = describe_latents(
        ssae, shifts, model, latents=steered, steered=True, prompts=[tasks[0].reporting[0]], scales=SHOWN, quiet=quiet
    )
    report = build_report(
        ssae,
        shifts,
        run=out / "ssae",
        comparison=result.to_json(),
        model=model,
        title="SmolLM2: concepts found in unlabelled pairs",
        concepts=concepts,
        stability=_stability(swept),
        descriptions=(descriptions | {each.latent: each for each in shown}).values(),
        steering=list(_curves(result, tasks, concepts)),
        vectors=vectors,
        quiet=quiet,
    )
    path = write_report(report, out / "report.html", overwrite=True)
    print(f"6. The whole of it, latent by latent: open {path}")
    return path


def _stability(swept: Sweep) -> Any:
    """Return how near the other seeds, merged as the best is, come to each of its latents."""
    chosen = swept.chosen
    decoders = [swept.merged(chosen, seed).W_dec.detach() for seed in range(len(chosen.outcomes))]
    return latent_stability(decoders, run=best_of(chosen.outcomes))


def _curves(result: Result, tasks: list[Task], concepts: Concepts) -> Iterator[dict[str, Any]]:
    """Return the behaviour and coherence of our vectors over scale, by latents: the other way for one that undoes a task."""
    found = {task.name: (concepts[task.concept], task.sign) for task in tasks}
    for row in comparison_of(result.to_json())["table"]:
        concept, sign = found[row["task"]]
        if row["method"] in ("SSAE", "unsteered") and concept.latent is not None:
            measured = {name: row[name] for name in ("behaviour", "coherence")}
            scale = row["scale"] * concept.sign * sign + 0.0  # not a zero below zero
            yield {"latent": concept.latent, **measured, "scale": scale}


def _show(result: Result) -> None:
    """Print each task's scores, and one sentence under each method."""
    table = result.table
    texts = {
        (each["cell"]["task"], each["cell"]["method"]): each["texts"]
        for each in result.cells
        if each["cell"]["part"] == "report"
    }
    for task, rows in table.groupby("task", sort=False):
        prompt = next(iter(texts[str(task), "unsteered"]))
        print(f"\n   {task}: “{prompt} …”  (behaviour and coherence from 0 to 1, on prompts that chose no scale)")
        for row in rows.to_dict("records"):
            said = texts.get((str(task), row["method"]))
            if said is None:
                continue
            scores = f"{row['behaviour']:.2f}  {row['coherence']:.2f}"
            print(f"   {row['method']:>10}  {scores}  … {' '.join(said[prompt].split())}")
    print()
