"""The command ``ssae-lens``, put together."""

from ssae_lens.cli import data, sharing, steering, training
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
