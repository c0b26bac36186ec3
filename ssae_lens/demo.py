"""The demonstration: from unlabelled pairs in which several things change to steering vectors and steered sentences.

All files go into one folder, with a report, `report.html`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssae_lens.base.progress_bars import progress
from ssae_lens.base.threads import one_thread
from ssae_lens.dashboards.build import build_report, comparison_of
from ssae_lens.dashboards.page import write_report
from ssae_lens.evals._steering import REPORT, UNSTEERED, SteeringResult, steering
from ssae_lens.evals.built_in_tasks import built_in
from ssae_lens.evals.experiment import Intervention, SteeringSettings, neutral_norm, unit_vector
from ssae_lens.evals.shipped_sae import choose_feature, load_shipped_sae
from ssae_lens.evals.tasks import Task
from ssae_lens.hooks import capture_shifts
from ssae_lens.latents.concepts import Concepts
from ssae_lens.latents.describe import describe_latents
from ssae_lens.latents.match import match_concepts
from ssae_lens.methods import caa, sae_ts
from ssae_lens.metrics import latent_stability
from ssae_lens.models import load_model
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.training import sweep
from ssae_lens.training._train import best_of
from ssae_lens.training.sweep_result import Sweep

MODEL, HOOK = "smollm2-135m", "blocks.15.hook_resid_post"
PAIRS, WIDTHS, SEEDS = 1000, (24, 32), 3
TASKS = ("positive sentiment", "past tense", "politeness")
SETTINGS = SteeringSettings(
    scales=(0.1, 0.2, 0.35), multipliers=(-1.0, 0.0, 1.0), n_texts=12, max_new_tokens=20, temperature=0.0
)
GIVEN = {
    "SSAE": "pairs in which several concepts change, unlabelled; labels only to say which latent is which",
    "CAA": "labelled contrasts of the task; mean over tokens",
    "SAE-TS": "labelled contrasts of the task, to choose a feature; an SAE, and a map of what vectors do to its features",
}
PROMPTS = 3
# The scales of the texts on the pages of the steered latents.
SHOWN_SCALES = (-0.35, -0.2, 0.2, 0.35)


def run(out: str | Path = "ssae-demo", *, quiet: bool = False) -> Path:
    """Train an SSAE on unlabelled pairs in SmolLM2, steer sentences towards three of its concepts, and write a report.

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
    tasks = [task.with_prompts(PROMPTS) for task in built_in(TASKS, n_pairs=PAIRS)]
    unlabelled = tasks[0].unlabelled
    assert unlabelled is not None
    row = unlabelled.pairs[0]
    n_pairs = len(unlabelled.pairs)
    print(f"2. {n_pairs} pairs of sentences; in each, one to three things change, and nothing says which:")
    print(f"     {row['source']}\n   → {row['target']}")
    shifts = capture_shifts(model, unlabelled.pairs, HOOK, position="mean", path=out / "shifts.h5", quiet=quiet)
    print(
        f"3. SSAEs learn from their shifts at {HOOK}; the width with most latents in both halves is kept and refined."
    )
    swept = sweep(shifts, d_sae=WIDTHS, seeds=SEEDS, out=out / "ssae", quiet=quiet)
    ssae = swept.best
    table = swept.table()[["d_sae", "reproduced", "split_half_score", "fvu", "active"]]
    for line in table.to_string(index=False).splitlines():
        print(f"     {line}")
    print(f"   {ssae.outcome.message}")
    print("4. The words that change with each latent; no labels are used:")
    described = describe_latents(ssae, shifts, model, quiet=quiet)
    for line in repr(described).splitlines():
        print(f"     {line}")
    concepts = match_concepts(ssae, shifts)
    print("5. Labels, looked at only now, say which latents are which concept:")
    for line in repr(concepts).splitlines():
        print(f"     {line}")
    print(f"6. Steering {PROMPTS} unfinished sentences towards {', '.join(TASKS)}, beside methods that need labels.")
    sae = load_shipped_sae(model)
    assert sae is not None
    assert sae.approximator is not None
    vectors: dict[str, dict[str, SteeringVector]] = {}
    results = []
    # On one thread the sentences are the same on every machine.
    with one_thread(), progress(total=len(tasks), unit="task", desc="steering", quiet=quiet) as bar:
        for task in tasks:
            concept = concepts[task.concept]
            own: dict[str, SteeringVector] = {}
            if concept.latent is not None:
                own["SSAE"] = SteeringVector.from_ssae(ssae, concept, hook_name=HOOK) * task.sign
            own |= {
                "CAA": caa(model, task.contrasts, HOOK, kind="tokens", quiet=True).at(HOOK),
                "SAE-TS": sae_ts.targeted(sae.approximator, choose_feature(model, sae, task.contrasts)),
            }
            # All methods at one length; the sign is that of the concept, not of the task, in the report.
            own = {name: unit_vector(one, neutral_norm(model, one.hook_name)) for name, one in own.items()}
            vectors[task.concept] = {name: own[name] * task.sign for name in ("CAA", "SAE-TS")}
            interventions = {name: Intervention(one, given=GIVEN[name]) for name, one in own.items()}
            results.append(steering(model, interventions, task, settings=SETTINGS, quiet=True))
            bar.update()
    result = _merged(results)
    _show(result)
    steered = [latent for task in tasks if (latent := concepts[task.concept].latent) is not None]
    descriptions = {one.latent: one for one in described}
    prompts = [tasks[0].reporting[0]]
    shown = describe_latents(
        ssae, shifts, model, latents=steered, steered=True, prompts=prompts, scales=SHOWN_SCALES, quiet=quiet
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
        descriptions=(descriptions | {one.latent: one for one in shown}).values(),
        steering=list(_curves(result, tasks, concepts)),
        vectors=vectors,
        quiet=quiet,
    )
    path = write_report(report, out / "report.html", overwrite=True)
    print(f"7. The whole of it, latent by latent: open {path}")
    return path


def _stability(swept: Sweep) -> Any:
    """Return how near the other seeds, refined as the best is, come to each of its latents."""
    chosen, best = swept.chosen, best_of(swept.chosen.outcomes)
    ssaes = [swept.best if i == best else swept.finished(chosen, i) for i in range(len(chosen.outcomes))]
    return latent_stability([ssae.W_dec.detach() for ssae in ssaes], run=best)


def _merged(results: list[SteeringResult]) -> SteeringResult:
    """Return the results of several tasks as one."""
    tasks = [task for result in results for task in result.about["tasks"]]
    missing = [
        {"task": result.about["tasks"][0]["name"], "method": name, "why": "no latent is this concept"}
        for result in results
        for name in GIVEN
        if name not in result.about["methods"]
    ]
    about = {**results[0].about, "hook": HOOK, "tasks": tasks, "missing": missing}
    about |= {"methods": {**GIVEN, UNSTEERED: "nothing"}, "cosines": {task["name"]: {} for task in tasks}}
    return SteeringResult([cell for result in results for cell in result.cells], about)


def _curves(result: SteeringResult, tasks: list[Task], concepts: Concepts) -> Iterator[dict[str, Any]]:
    """Return behaviour and coherence by scale for the SSAE's latents; the scale is negative for one that undoes a task."""
    by_task = {task.name: (concepts[task.concept], task.sign) for task in tasks}
    for row in comparison_of(result.to_json())["table"]:
        concept, sign = by_task[row["task"]]
        if row["method"] in ("SSAE", UNSTEERED) and concept.latent is not None:
            measured = {name: row[name] for name in ("behaviour", "coherence")}
            scale = row["scale"] * concept.sign * sign + 0.0  # no negative zero
            yield {"latent": concept.latent, **measured, "scale": scale}


def _show(result: SteeringResult) -> None:
    """Print the scores of each task, with one sentence for each method."""
    texts = {
        (cell["cell"]["task"], cell["cell"]["method"]): cell["texts"]
        for cell in result.cells
        if cell["cell"]["part"] == REPORT
    }
    for task, rows in result.table.groupby("task", sort=False):
        prompt = next(iter(texts[str(task), UNSTEERED]))
        print(f"\n   {task}: “{prompt} …”  (behaviour and coherence from 0 to 1, on prompts that chose no scale)")
        for row in rows.to_dict("records"):
            if (str(task), row["method"]) not in texts:
                continue
            scores = f"{row['behaviour']:.2f}  {row['coherence']:.2f}"
            print(f"   {row['method']:>10}  {scores}  … {' '.join(texts[str(task), row['method']][prompt].split())}")
    print()
