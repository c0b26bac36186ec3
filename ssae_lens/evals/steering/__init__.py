"""Does it steer better? Every way to steer on tasks of many kinds, scored alike.

`run` does what ``python -m studies steering`` does; `study` takes tasks, methods and settings of one's own.
"""

from ssae_lens.evals.steering.builtin import built_in
from ssae_lens.evals.steering.files import behaviour_tasks, topic_tasks
from ssae_lens.evals.steering.lab import Lab
from ssae_lens.evals.steering.measure import Way
from ssae_lens.evals.steering.methods import METHODS, Method
from ssae_lens.evals.steering.result import Result
from ssae_lens.evals.steering.saes import Features
from ssae_lens.evals.steering.settings import QUICK, Settings
from ssae_lens.evals.steering.study import run, study
from ssae_lens.evals.steering.tasks import Pool, Question, Task

__all__ = [
    "METHODS",
    "QUICK",
    "Features",
    "Lab",
    "Method",
    "Pool",
    "Question",
    "Result",
    "Settings",
    "Task",
    "Way",
    "behaviour_tasks",
    "built_in",
    "run",
    "study",
    "topic_tasks",
]
