"""Progress bars of long work, shown in terminals and notebooks only."""

import sys
from collections.abc import Iterable
from typing import Any


def progress(
    steps: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    unit: str = "it",
    desc: str = "",
    quiet: bool = False,
) -> Any:
    """Return a tqdm bar over `steps`, or an empty one of `total` to `update`; hidden with `quiet` or piped output."""
    from tqdm.auto import tqdm

    hidden = quiet or not (sys.stderr.isatty() or "ipykernel" in sys.modules)
    return tqdm(steps, total=total, unit=unit, desc=desc or None, disable=hidden, dynamic_ncols=True)
