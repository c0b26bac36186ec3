"""The tables of `python -m studies synthetic`."""

from collections.abc import Callable
from typing import Any

from studies.page_tables.markdown import MissingError, bold, figure, records, table
from studies.synthetic import ROWS
from studies.synthetic.result import Result

# What the README shows of worlds and methods, and what it calls them.
WORLDS = {
    "DGP1": "the reference's DGP1",
    "DGP2": "DGP2",
    "DGP3": "DGP3",
    "50 concepts in 64": "50 concepts in 64 dimensions",
    "changes correlated .9": "20 concepts in 64, changes correlated .9",
    "noise 20 dB": "20 dB of noise",
    "20 % bends with context": "concepts bend with context, 20 %",
    "50 % bends with context": "concepts bend with context, 50 %",
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


def worlds(result: Result) -> str:
    """Return the MCC of codes in some worlds: mean and standard deviation over seeds, the best of the methods shown bold."""
    found = {(each["row"], each["method"]): each for each in records(result.table)}
    tried = {row.name: row.methods for row in ROWS}
    rows = []
    for world, title in WORLDS.items():
        for method in METHODS:
            if method in tried[world] and (world, method) not in found:
                raise MissingError(f"no method {method!r} in the world {world!r}")
        here = [found.get((world, method)) for method in METHODS]
        texts = [f"{figure(each['mcc_codes'])} ± {figure(each['mcc_codes_sd'])}" if each else "" for each in here]
        rows.append([title, *bold(texts, [None if each is None else each["mcc_codes"] for each in here])])
    return table(["world", *METHODS.values()], rows)


TABLES: dict[str, Callable[[Any], str]] = {"worlds": worlds}
