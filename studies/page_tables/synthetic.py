"""The table of `python -m studies synthetic`."""

from collections.abc import Callable
from typing import Any

from studies.page_tables.markdown import MissingError, bold, figure, records, table
from studies.synthetic import ROWS
from studies.synthetic import SyntheticResult as Result

# The rows and methods that the README shows, with their titles.
SHOWN = {
    "DGP1": "the reference's DGP1",
    "DGP2": "DGP2",
    "DGP3": "DGP3",
    "50 concepts in 64": "50 concepts in 64 dimensions",
    "changes correlated .9": "20 concepts in 64, changes correlated .9",
    "noise 20 dB": "20 dB of noise",
    "20 % context dependence": "context-dependent directions, 20 %",
    "50 % context dependence": "context-dependent directions, 50 %",
    "mixing of condition 1000": "mixing of condition 1000",
    "20 concepts in 16": "20 concepts in 16 dimensions",
}
METHODS = {
    "SSAE": "SSAE",
    "FastICA": "FastICA",
    "dictionary": "dictionary learning",
    "AbsTopK": "AbsTopK SAE on shifts",
    "affine": "no constraint",
}


def data(result: Result) -> str:
    """Return the MCC of codes, mean ± standard deviation over seeds, with the best method of each row in bold."""
    scores = {(row["row"], row["method"]): row for row in records(result.table)}
    for row in ROWS:
        for method in METHODS if row.name in SHOWN else ():
            if method in row.methods and (row.name, method) not in scores:
                raise MissingError(f"no method {method!r} in the row {row.name!r}")
    rows = []
    for name, title in SHOWN.items():
        cells = [scores.get((name, method)) for method in METHODS]
        texts = [f"{figure(cell['mcc_codes'])} ± {figure(cell['mcc_codes_sd'])}" if cell else "" for cell in cells]
        rows.append([title, *bold(texts, [cell["mcc_codes"] if cell else None for cell in cells])])
    return table(["synthetic data", *METHODS.values()], rows)


TABLES: dict[str, Callable[[Any], str]] = {"data": data}
