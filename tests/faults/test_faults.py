"""The short form of ``make faults``: every kind of fault in some jobs, and every job under some kinds."""

import os
import random

import pytest
import torch

from faults.inject import FAULTS, truth_of, workplace
from faults.jobs import JOBS, warm_up

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes"),
    pytest.mark.xdist_group("faults"),
]
# Each kind meets three of the jobs, and each job at least two of the kinds.
CASES = [(kind, JOBS[(3 * number + step) % len(JOBS)]) for number, kind in enumerate(FAULTS) for step in range(3)]


@pytest.fixture(scope="module")
def truths():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    warm_up()
    known = {}
    with workplace() as folder:

        def truth(job):
            if job.name not in known:
                known[job.name] = truth_of(job, folder / "undisturbed")
            return folder / "disturbed", known[job.name]

        yield truth
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("kind", "job"), CASES, ids=lambda each: getattr(each, "name", each))
def test_nothing_is_lost_or_wrong(kind, job, truths):
    folder, truth = truths(job)
    outcome = FAULTS[kind](job, folder, truth, random.Random(f"short {job.name} {kind}"))
    if outcome is None:
        pytest.skip("no file system can be mounted here")
    assert outcome in ("right", "clear error")
