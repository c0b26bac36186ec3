"""What the study runs, as data: synthetic data sets, widths and methods."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ssae_lens.evals.synthetic_data import SyntheticData, cat, dgp, synthetic_shifts
from studies.synthetic.methods import METHODS

KINDS: dict[str, Callable[..., SyntheticData]] = {"dgp": dgp, "general": synthetic_shifts, "cat": cat}
ALL = tuple(METHODS)
MAIN = ("SSAE", "affine", "PCA", "FastICA", "dictionary", "AbsTopK", "random")
FEW = ("SSAE", "affine", "FastICA")


@dataclass(frozen=True)
class SyntheticRow:
    """A synthetic data set, and the methods to run on it.

    Attributes
    ----------
    name, group
        The name of the row, and the part of the table that contains it.
    kind, settings
        One of `KINDS`, and its arguments except the seed.
    methods
        Some of `METHODS`.
    width
        Latents; None is the number of concepts.
    """

    name: str
    group: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ALL
    width: int | None = None

    def make(self, seed: int, n: int) -> SyntheticData:
        """Generate the data with a seed."""
        return KINDS[self.kind](**self.settings, n=n, seed=seed, name=self.name)


def _base(**settings: Any) -> dict[str, Any]:
    return {"d": 64, "n_concepts": 20, **settings}


REFERENCE = "data of the reference code"
SPARSE = "dimensions and concepts"
HARDER = "noise and correlation"
VIOLATED = "violated assumptions"
WIDTHS = "CAT(135,3) by width"

ROWS: tuple[SyntheticRow, ...] = (
    *(SyntheticRow(f"DGP{i}", REFERENCE, "dgp", {"number": i}) for i in (1, 2, 3)),
    *(
        SyntheticRow(
            f"{c} concepts in {d}", SPARSE, "general", {"d": d, "n_concepts": c}, ALL if (c, d) == (20, 64) else MAIN
        )
        for d in (64, 256)
        for c in (10, 20, 50)
    ),
    SyntheticRow("noise 20 dB", HARDER, "general", _base(noise_db=20), MAIN),
    SyntheticRow("changes correlated .5", HARDER, "general", _base(correlation=0.5)),
    SyntheticRow("changes correlated .9", HARDER, "general", _base(correlation=0.9)),
    SyntheticRow("noise 10 dB", VIOLATED, "general", _base(noise_db=10), FEW),
    SyntheticRow(
        "changes and values correlated .9", VIOLATED, "general", _base(correlation=0.9, value_correlation=0.9), FEW
    ),
    SyntheticRow("20 % context dependence", VIOLATED, "general", _base(context_dependence=0.2), FEW),
    SyntheticRow("50 % context dependence", VIOLATED, "general", _base(context_dependence=0.5), FEW),
    SyntheticRow("tanh of concepts", VIOLATED, "general", _base(nonlinearity=1.0), FEW),
    SyntheticRow("DGP3, any mixing", VIOLATED, "dgp", {"number": 3, "max_condition": None}, FEW),
    SyntheticRow("mixing of condition 1000", VIOLATED, "general", _base(condition=1000), FEW),
    SyntheticRow("20 concepts in 16", VIOLATED, "general", {"d": 16, "n_concepts": 20}, FEW),
    *(
        SyntheticRow(f"width {width}", WIDTHS, "cat", {}, ("SSAE", "affine"), width)
        for width in (135, 150, 200, 300, 500)
    ),
)
QUICK: tuple[SyntheticRow, ...] = tuple(row for row in ROWS if row.name in {"DGP3", "20 concepts in 64", "noise 20 dB"})
# The numbers of the paper for CAT(135,3), on activations of a language model: SSAE, affine.
PAPER = {135: (0.906, 0.661), 150: (0.884, None), 200: (0.861, 0.535), 300: (0.824, None), 500: (0.755, 0.323)}
