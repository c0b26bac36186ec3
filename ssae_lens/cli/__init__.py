"""The command ``ssae-lens``: each subcommand is a thin call of a public function."""

from ssae_lens.cli import data, evals, sharing, steering, training
from ssae_lens.cli.common import Command, group

__all__ = ["app"]

app = group("Steering vectors from pairs of texts in which several unknown concepts change at once.", "ssae-lens")
for command in (
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
    app.command(cls=Command)(command)
app.add_typer(evals.app)
