"""The study: every method on every task, one scale chosen on one half and reported on the other, kept cell by cell.

What methods learn is kept too, so that a run that was stopped goes on without learning it again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.versions import versions
from ssae_lens.evals.cells import gather
from ssae_lens.evals.steering import builtin, files, ratings
from ssae_lens.evals.steering.lab import Lab
from ssae_lens.evals.steering.learning import EDITION, Learning
from ssae_lens.evals.steering.methods import METHODS, Method
from ssae_lens.evals.steering.plan import Plan
from ssae_lens.evals.steering.result import Result
from ssae_lens.evals.steering.saes import Features
from ssae_lens.evals.steering.settings import QUICK, Settings
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.latents.judges import Judge
from ssae_lens.models import load_model

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

MODEL = "smollm2-135m"
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
) -> Result:
    """Run the comparison as the command does: the table, `steering.json` and `steering.html` in `out`.

    Parameters
    ----------
    out
        A folder for results, and for what a later call goes on with.
    quick
        Three tasks, fewer methods, prompts and scales.
    quiet
        Show no progress.
    model, hook, judge
        As in `study`.
    behaviours, topics
        Folders of further tasks, as `files.behaviour_tasks` and `files.topic_tasks` read them.
    """
    settings = QUICK if quick else Settings()
    tasks = builtin.built_in(builtin.QUICK if quick else None, n_pairs=settings.n_pairs)
    tasks += files.behaviour_tasks(behaviours) if behaviours else []
    tasks += files.topic_tasks(topics, n_pairs=settings.n_pairs) if topics else []
    if quick:
        tasks = [each.with_prompts(4) for each in tasks]
    methods = {name: METHODS[name] for name in (QUICK_METHODS if quick else METHODS)}
    done = study(tasks, model=model, hook=hook, methods=methods, settings=settings, judge=judge, out=out, quiet=quiet)
    return done.kept(out)


def study(
    tasks: Sequence[Task] | None = None,
    *,
    model: "str | Model" = MODEL,
    hook: str = "",
    methods: Mapping[str, Method] | None = None,
    settings: Settings | None = None,
    features: Features | None = None,
    judge: Judge | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Result:
    """Steer every task by every method, and say which does best.

    Parameters
    ----------
    tasks
        By default the built-in ones.
    model
        A name that `load_model` opens, or a model.
    hook
        Where; by default after the block in the middle.
    methods
        By name; by default `METHODS`. An unsteered row is added where there is none.
    settings
        How much is done.
    features
        An SAE for methods that need one; by default what ships with the package for the model.
    judge
        What rates the texts that report beside the local judges, such as an `EndpointJudge`; what it does not answer is
        counted and left out.
    out
        A folder for the cells and for what methods learn; what is there is not done again. What a method learned is known
        there by the method's name.
    workers
        Processes of one thread each. None is as many as there are processors; 1 stays in this one, as does a model that was
        not given by its name.
    quiet
        Show no progress.
    """
    settings = settings or Settings()
    tasks = builtin.built_in(n_pairs=settings.n_pairs) if tasks is None else list(tasks)
    methods = dict(METHODS if methods is None else methods)
    methods.setdefault("unsteered", METHODS["unsteered"])
    if not tasks:
        raise ValueError(
            f"tasks is empty; give at least one, such as built_in() makes of {', '.join(builtin.names())}."
        )
    names = [task.name for task in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"tasks has two called {min(twice)!r}; give each its own name.")
    began = time.monotonic()
    opened = partial(_opened, model) if isinstance(model, str) else lambda: model
    workers = workers if isinstance(model, str) else 1
    lab = Lab(opened(), hook, settings, features=features)
    for task in tasks:
        require_fit(lab.model, task, settings)
    learning = Learning(opened, hook, settings, features, methods, None if out is None else Path(out) / "learned")
    learned = learning.of(tasks, workers=workers, quiet=quiet)
    plans = [
        Plan(task, ways, settings, _common(lab, task), lab.hook) for task, (ways, _) in zip(tasks, learned, strict=True)
    ]
    about = {
        "model": lab.model.cfg.model_name,
        "hook": lab.hook,
        "settings": asdict(settings),
        "methods": {name: each.given for name, each in methods.items()},
        "missing": [each for _, missing in learned for each in missing],
        "cosines": {plan.task.name: plan.cosines for plan in plans},
        "tasks": [_about(task) for task in tasks],
    }
    folder = None if out is None else Path(out) / "cells"
    jobs = [plan.job(opened, folder) for plan in plans]
    cells = gather(jobs, workers=workers, about="steering", quiet=quiet)
    if judge is not None:
        told = ratings.rated(judge, tasks, cells)
        cells, about = [*cells, *told], {**about, "ratings": ratings.about(judge, told)}
    seconds = round(time.monotonic() - began, 1)
    return Result(cells, {**about, "seconds": seconds, "versions": versions()})


def require_fit(model: "Model", task: Task, settings: Settings) -> None:
    """Raise if a held-out text has nothing to predict, or a prompt or a question is more than a model reads."""
    tokens = settings.long_tokens if task.name in settings.long_tasks else settings.max_new_tokens
    prompts = task.choosing + task.reporting + task.elsewhere
    room = [(prompt, tokens) for prompt in prompts] + [(each.question, 8) for each in task.questions]
    for text in (*task.without, *task.with_it):
        if len(model.to_tokens(text)[0]) < 2:
            raise ValueError(
                f"The task {task.name!r} has the held-out text {text!r} of one token, which nothing stands before; give "
                "longer ones."
            )
    for text, more in room:
        length = len(model.to_tokens(task.prefix + text, truncate=False)[0])
        if length + more > model.cfg.n_ctx:
            raise ValueError(
                f"The task {task.name!r} has the prompt {text[:40]!r} of {length} tokens (with words that ask for the "
                f"behaviour); with {more} more that is beyond the {model.cfg.n_ctx} that the model reads: shorten it, or "
                "make fewer tokens."
            )


def _common(lab: Lab, task: Task) -> dict[str, Any]:
    """Return what all cells of a task have in common."""
    return {
        "task": task.name,
        "group": task.group,
        "texts": task.fingerprint,
        "model": lab.origin(lab.hook).to_dict(),
        "edition": EDITION,
    }


def _about(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "group": task.group,
        "behaviour": task.behaviour,
        "concept": task.concept,
        "sign": task.sign,
        "contrasts": len(task.contrasts),
        "pool": None if task.pool is None else {"name": task.pool.name, "pairs": len(task.pool.pairs)},
        "prompts": [len(task.choosing), len(task.reporting), len(task.elsewhere)],
        "held_out": len(task.questions) or len(task.with_it),
    }


@cache
def _opened(name: str) -> "Model":
    """Open a model once in each process."""
    return load_model(name)
