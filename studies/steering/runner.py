"""The study: every method on every task, cached cell by cell, with what methods learn, so that a stopped run resumes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ssae_lens.base.provenance import versions
from ssae_lens.evals import built_in_tasks
from ssae_lens.evals.experiment import require_room
from ssae_lens.evals.shipped_sae import ModelSAE
from ssae_lens.evals.tasks import Task
from ssae_lens.latents.judges import Judge
from ssae_lens.models import load_model
from studies.cells import gather
from studies.steering import ratings, task_files
from studies.steering.learning import EDITION, Learning, LearningCache
from studies.steering.measure import TaskPlan
from studies.steering.methods import METHODS, SteeringMethod
from studies.steering.result import SteeringStudyResult
from studies.steering.settings import QUICK, SteeringStudySettings

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

MODEL = "smollm2-135m"
QUICK_TASKS = ("positive sentiment", "politeness", "the sea")
QUICK_METHODS = ("SSAE", "CAA", "CAA, answer", "mean shift", "random", "prompting", "unsteered")


def run(
    out: Path | None = None,
    quick: bool = False,
    quiet: bool = False,
    *,
    model: "str | Model" = MODEL,
    hook: str = "",
    behaviours: str | Path | None = None,
    topics: str | Path | None = None,
    judge: Judge | None = None,
) -> SteeringStudyResult:
    """Run the comparison as the command does, and write `steering.json` and `steering.html` into `out`.

    Parameters
    ----------
    out
        A folder for results and cells; a later call resumes from it.
    quick
        Run with three tasks, and fewer methods, prompts and scales.
    quiet
        Show no progress.
    model, hook, judge
        As in `study`.
    behaviours, topics
        Folders of further tasks, in the formats of `behaviour_tasks` and `topic_tasks`.
    """
    settings = QUICK if quick else SteeringStudySettings()
    tasks = built_in_tasks.built_in(QUICK_TASKS if quick else None, n_pairs=settings.n_pairs)
    tasks += task_files.behaviour_tasks(behaviours) if behaviours else []
    tasks += task_files.topic_tasks(topics, n_pairs=settings.n_pairs) if topics else []
    if quick:
        tasks = [task.with_prompts(4) for task in tasks]
    methods = {name: METHODS[name] for name in (QUICK_METHODS if quick else METHODS)}
    result = study(tasks, model=model, hook=hook, methods=methods, settings=settings, judge=judge, out=out, quiet=quiet)
    return result.kept(out)


def study(
    tasks: Sequence[Task] | None = None,
    *,
    model: "str | Model" = MODEL,
    hook: str = "",
    methods: Mapping[str, SteeringMethod] | None = None,
    settings: SteeringStudySettings | None = None,
    sae: ModelSAE | None = None,
    judge: Judge | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> SteeringStudyResult:
    """Measure every method on every task.

    Parameters
    ----------
    tasks
        By default the built-in ones.
    model
        A name for `load_model`, or a model.
    hook
        The hook of the vectors; by default after the block in the middle.
    methods
        By name; by default `METHODS`. An unsteered row is added if there is none.
    settings
        Sizes.
    sae
        An SAE for methods that need one; by default the one that ships with the package for the model.
    judge
        A judge that rates the reported texts, besides the local judges, such as an `EndpointJudge`. Ratings that it does not
        return are counted and left out.
    out
        A folder for the cells and for what methods learn, by the method's name; what is there is not measured again.
    workers
        Processes of one thread each. None is one for each processor; 1 is this process, as always with a model object.
    quiet
        Show no progress.
    """
    settings = settings or SteeringStudySettings()
    tasks = built_in_tasks.built_in(n_pairs=settings.n_pairs) if tasks is None else list(tasks)
    methods = dict(METHODS if methods is None else methods)
    methods.setdefault("unsteered", METHODS["unsteered"])
    if not tasks:
        raise ValueError(
            f"tasks is empty; give at least one, such as built_in() returns: {', '.join(built_in_tasks.names())}."
        )
    names = [task.name for task in tasks]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"tasks has two called {min(repeated)!r}; give each its own name.")
    began = time.monotonic()
    load = partial(_loaded, model) if isinstance(model, str) else lambda: model
    workers = workers if isinstance(model, str) else 1
    shared = LearningCache(load(), hook, settings, sae=sae)
    for task in tasks:
        long = task.name in settings.long_tasks
        require_room(shared.model, task, settings.long_tokens if long else settings.max_new_tokens)
    learning = Learning(load, hook, settings, sae, methods, None if out is None else Path(out) / "learned")
    learned = learning.of(tasks, workers=workers, quiet=quiet)
    origin = shared.origin(shared.hook).to_dict()
    plans = []
    for task, (interventions, _) in zip(tasks, learned, strict=True):
        common = {
            "task": task.name,
            "group": task.group,
            "texts": task.fingerprint,
            "model": origin,
            "edition": EDITION,
        }
        plans.append(TaskPlan(task, interventions, settings, common, shared.hook))
    about = {
        "model": shared.model.cfg.model_name,
        "hook": shared.hook,
        "settings": asdict(settings),
        "methods": {name: method.given for name, method in methods.items()},
        "missing": [reason for _, missing in learned for reason in missing],
        "cosines": {plan.task.name: plan.cosines for plan in plans},
        "tasks": [task.summary() for task in tasks],
    }
    folder = None if out is None else Path(out) / "cells"
    jobs = [plan.job(load, folder) for plan in plans]
    cells = gather(jobs, workers=workers, about="steering", quiet=quiet)
    if judge is not None:
        rated = ratings.rated(judge, tasks, cells)
        cells, about = [*cells, *rated], {**about, "ratings": ratings.about(judge, rated)}
    seconds = round(time.monotonic() - began, 1)
    return SteeringStudyResult(cells, {**about, "seconds": seconds, "versions": versions()})


@cache
def _loaded(name: str) -> "Model":
    """Load a model once in each process."""
    return load_model(name)
