"""The command ``ssae-lens``, put together."""

from ssae_lens.cli import data, evals, sharing, steering, training
from ssae_lens.cli.common import Command, group

app = group("Steering vectors from pairs of texts in which several unknown concepts change at once.", "ssae-lens")
for each in (
    steering.demo,
    data.capture,
    data.inspect,
    training.train,
    training.sweep,
    steering.steer,
    sharing.convert,
    sharing.upload,
    sharing.dashboard,
):
    app.command(cls=Command)(each)

studies = group("Studies that print a table.", "eval")
for each in (
    evals.synthetic,
    evals.language,
    evals.probes,
    evals.steering,
    evals.decomposition,
    evals.findings,
):
    studies.command(cls=Command)(each)
app.add_typer(studies)
