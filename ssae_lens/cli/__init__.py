"""The command ``ssae-lens``: each subcommand is a thin call of a public function."""

from ssae_lens.cli import evals, results, training
from ssae_lens.cli.common import Command, group

__all__ = ["app"]

app = group("Steering vectors from pairs of texts in which several unknown concepts change at once.", "ssae-lens")
for command in (
    results.demo,
    training.capture,
    training.inspect,
    training.train,
    training.sweep,
    results.describe,
    results.vector,
    results.steer,
    results.convert,
    results.upload,
    results.dashboard,
):
    app.command(cls=Command)(command)
app.add_typer(evals.app)
