"""The versions that a result was made with, saved beside it."""

import platform
from functools import cache
from importlib import metadata

PACKAGES = ("ssae-lens", "torch", "transformer-lens", "sae-lens", "cooper-optim", "transformers")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape results."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    # Read once: a study asks for them at every cell, and reading metadata takes longer than reading a cell.
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
