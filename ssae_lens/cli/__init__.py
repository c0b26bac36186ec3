"""The command ``ssae-lens``: each subcommand is a thin call of a public function."""

from ssae_lens.cli.app import app

__all__ = ["app"]
