"""The steering comparison: every method on every task, measured alike (``python -m studies steering``).

`run` is the command; `study` takes tasks, methods and settings of one's own.
"""

from studies.steering.learning import LearningCache
from studies.steering.methods import METHODS, SteeringMethod
from studies.steering.result import SteeringStudyResult
from studies.steering.runner import run, study
from studies.steering.settings import QUICK, SteeringStudySettings
from studies.steering.task_files import behaviour_tasks, topic_tasks

__all__ = [
    "METHODS",
    "QUICK",
    "LearningCache",
    "SteeringMethod",
    "SteeringStudyResult",
    "SteeringStudySettings",
    "behaviour_tasks",
    "run",
    "study",
    "topic_tasks",
]
