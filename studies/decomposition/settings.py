"""`DecompositionSettings`: the sizes of the study."""

from dataclasses import dataclass

from ssae_lens.base import checks


@dataclass(frozen=True)
class DecompositionSettings:
    """Sizes of the study.

    Attributes
    ----------
    lengths
        Lengths at which vectors are read besides their own, in mean norms of activations.
    top
        Number of strongest features of a code that are compared with those of the zero vector.
    shown
        Number of features that are kept for a figure.
    changed
        Number of features, those that differ most between a behaviour's texts, that are looked for in a vector's code.
    atoms
        Numbers of atoms at which a pursuit is reported.
    rare
        A feature that fires at a smaller share of tokens, on both sides, has no part in a behaviour.
    n_texts
        Number of texts of `sentences` among those whose activations vectors are compared with and added to.
    n_pairs, n_seeds
        Maximum number of pairs that an SSAE is trained on, and seeds of its sweep.
    seed
        Seed of random directions.
    """

    lengths: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    top: int = 5
    shown: int = 12
    changed: int = 10
    atoms: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    rare: float = 0.01
    n_texts: int = 100
    n_pairs: int = 2000
    n_seeds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        for length in self.lengths:
            checks.above("lengths", length, 0, "A vector's own length is always read.")
        for name in ("top", "shown", "changed", "n_texts", "n_pairs"):
            checks.integer(name, getattr(self, name))
        for count in self.atoms:
            checks.integer("atoms", count)
        if not self.lengths or not self.atoms:
            raise ValueError(f"lengths is {self.lengths} and atoms {self.atoms}; give at least one of each.")
        checks.integer("n_seeds", self.n_seeds, 2, "A sweep compares seeds.")
        checks.above("rare", self.rare, 0)


QUICK = DecompositionSettings(lengths=(0.25, 1.0), atoms=(1, 4, 16), n_texts=40, n_pairs=500, n_seeds=2)
