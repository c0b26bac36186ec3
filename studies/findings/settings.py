"""`Settings`: how much of each open question is measured."""

from dataclasses import dataclass

from ssae_lens.base import checks


@dataclass(frozen=True)
class Settings:
    """How much is done.

    Attributes
    ----------
    rows, scales
        Coherence: how many decoder rows steer, beside the map's bias both ways and random directions (a third as many),
        and at which scales, in mean norms of activations.
    temperatures
        At which the unsteered model writes, to see what a narrower choice of tokens does by itself.
    layers, carried
        Later layers: which blocks are read (of the model's depth, as shares), and how many vectors are added.
    features
        The pseudo-inverse: how many features are raised in each way.
    held_out, multiples
        The approximator's reach: how many of the vectors that it was not fitted to, and at which multiples of the scales
        that it was fitted at.
    seed
        Of what is drawn.
    """

    rows: int = 6
    scales: tuple[float, ...] = (0.1, 0.2)
    temperatures: tuple[float, ...] = (0.3, 0.5, 0.85, 1.0)
    layers: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    carried: int = 60
    features: int = 8
    held_out: int = 20
    multiples: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    seed: int = 0

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        for name in ("rows", "carried", "features", "held_out"):
            checks.integer(name, getattr(self, name), 3, "An interval needs some.")
        for name in ("scales", "temperatures", "multiples"):
            for each in getattr(self, name):
                checks.above(name, each, 0)
        if 1.0 not in self.multiples:
            raise ValueError(f"multiples is {self.multiples}; 1 must be among them, which the others are held against.")


QUICK = Settings(
    rows=4,
    scales=(0.1,),
    temperatures=(0.5, 1.0),
    layers=(0.5, 0.75, 1.0),
    carried=16,
    features=3,
    held_out=6,
    multiples=(1.0, 4.0),
)
