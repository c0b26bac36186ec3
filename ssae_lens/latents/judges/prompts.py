"""The prompts, which stand in `prompts.yaml`."""

from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _all() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(files("ssae_lens.latents.judges").joinpath("prompts.yaml").read_text(encoding="utf-8"))


def prompt(name: str, **values: Any) -> str:
    """Return a prompt with its gaps filled."""
    return _all()[name].strip("\n").format(**values)
