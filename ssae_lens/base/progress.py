"""Progress of long work, shown where a person is looking and silent elsewhere."""

import sys
from collections.abc import Iterable
from typing import Any


def progress(
    steps: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    unit: str = "it",
    about: str = "",
    quiet: bool = False,
) -> Any:
    """Return a tqdm bar over `steps`, or an empty one of `total` to `update`.

    It shows in notebooks and terminals; piped output and `quiet=True` stay clean.
    """
    from tqdm.auto import tqdm

    hidden = quiet or not (sys.stderr.isatty() or _in_notebook())
    return tqdm(steps, total=total, unit=unit, desc=about or None, disable=hidden, dynamic_ncols=True)


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
