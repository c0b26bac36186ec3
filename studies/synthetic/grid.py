"""What the study runs: worlds, widths and methods, as data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ssae_lens.evals.synthetic_data import World, cat, dgp, world
from studies.synthetic.methods import METHODS

KINDS: dict[str, Callable[..., World]] = {"dgp": dgp, "world": world, "cat": cat}
ALL = tuple(METHODS)
MOST = ("SSAE", "affine", "PCA", "FastICA", "dictionary", "AbsTopK", "random")
FEW = ("SSAE", "affine", "FastICA")


@dataclass(frozen=True)
class Row:
    """A world of the study, and who is tried in it.

    Attributes
    ----------
    name, group
        Its line in the table, and the part of the table it stands in.
    kind, settings
        The function that makes it, and what that is given besides the seed.
    methods
        Of `METHODS`.
    width
        Latents; None is the number of concepts.
    """

    name: str
    group: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ALL
    width: int | None = None

    def make(self, seed: int, n: int) -> World:
        """Make the world of a seed."""
        return KINDS[self.kind](**self.settings, n=n, seed=seed, name=self.name)


def _base(**more: Any) -> dict[str, Any]:
    return {"d": 64, "n_concepts": 20, **more}


REFERENCE = "the reference's worlds"
SPARSE = "dimensions and concepts"
HARDER = "noise and correlation"
BEYOND = "what the method does not assume"
WIDTHS = "CAT(135,3) by width"

ROWS: tuple[Row, ...] = (
    *(Row(f"DGP{i}", REFERENCE, "dgp", {"number": i}) for i in (1, 2, 3)),
    *(
        Row(f"{c} concepts in {d}", SPARSE, "world", {"d": d, "n_concepts": c}, ALL if (c, d) == (20, 64) else MOST)
        for d in (64, 256)
        for c in (10, 20, 50)
    ),
    Row("noise 20 dB", HARDER, "world", _base(noise_db=20), MOST),
    Row("changes correlated .5", HARDER, "world", _base(correlation=0.5)),
    Row("changes correlated .9", HARDER, "world", _base(correlation=0.9)),
    Row("noise 10 dB", BEYOND, "world", _base(noise_db=10), FEW),
    Row("changes and values correlated .9", BEYOND, "world", _base(correlation=0.9, value_correlation=0.9), FEW),
    Row("20 % bends with context", BEYOND, "world", _base(bend=0.2), FEW),
    Row("50 % bends with context", BEYOND, "world", _base(bend=0.5), FEW),
    Row("tanh of concepts", BEYOND, "world", _base(nonlinearity=1.0), FEW),
    Row("DGP3, any mixing", BEYOND, "dgp", {"number": 3, "most_condition": None}, FEW),
    Row("mixing of condition 1000", BEYOND, "world", _base(condition=1000), FEW),
    Row("20 concepts in 16", BEYOND, "world", {"d": 16, "n_concepts": 20}, FEW),
    *(Row(f"width {width}", WIDTHS, "cat", {}, ("SSAE", "affine"), width) for width in (135, 150, 200, 300, 500)),
)
QUICK: tuple[Row, ...] = tuple(each for each in ROWS if each.name in {"DGP3", "20 concepts in 64", "noise 20 dB"})
# The paper's own numbers for the last part, on a language model's activations: (SSAE, affine).
PAPER = {135: (0.906, 0.661), 150: (0.884, None), 200: (0.861, 0.535), 300: (0.824, None), 500: (0.755, 0.323)}
