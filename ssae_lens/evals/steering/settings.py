"""`Settings`: how much the comparison does of everything."""

from dataclasses import dataclass

from ssae_lens.base import checks


@dataclass(frozen=True)
class Settings:
    """How much is done.

    Attributes
    ----------
    scales
        What is tried of every vector; 1 adds as much as the mean norm of activations at its hook. All vectors are brought to
        one length by it, so that no method gains by a longer one.
    multipliers, step
        At which multiples of `step` (a scale) log-probabilities and answers are read, for steerability.
    n_texts
        Held-out pairs of texts whose log-probabilities are read, of those that a task has.
    max_new_tokens, temperature, top_p, seed
        Of the texts that prompts are continued to.
    n_pairs, n_seeds
        Pairs that an SSAE learns from, where there are as many, and seeds of its sweep.
    n_contents
        Sentences in which the side effects on every concept are read.
    long_tasks, long_prompts, long_tokens, window
        The tasks of which long texts are made, from how many of the prompts that report, their tokens, and the tokens that
        are judged together.
    layer_tasks, depths
        The tasks that are steered at other layers too, and which, as shares of the model's blocks.
    max_rows
        Texts generated at once.
    """

    scales: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5, 0.75)
    multipliers: tuple[float, ...] = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
    step: float = 0.2
    n_texts: int = 24
    max_new_tokens: int = 20
    temperature: float = 0.7
    top_p: float = 0.9
    seed: int = 0
    n_pairs: int = 2000
    n_seeds: int = 3
    n_contents: int = 3
    long_tasks: tuple[str, ...] = ("positive sentiment", "the sea")
    long_prompts: int = 4
    long_tokens: int = 200
    window: int = 50
    layer_tasks: tuple[str, ...] = ("positive sentiment", "French", "the sea")
    depths: tuple[float, ...] = (1 / 6, 1 / 3, 2 / 3, 5 / 6)
    max_rows: int = 64

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        for scale in self.scales:
            checks.above("scales", scale, 0, "An unsteered row stands in every table.")
        if not self.scales or len(set(self.multipliers)) < 2 or 0 not in self.multipliers:
            raise ValueError(
                f"scales is {self.scales} and multipliers {self.multipliers}; give a scale at least, and several "
                "multipliers with 0 among them."
            )
        checks.above("step", self.step, 0)
        for name in ("n_texts", "max_new_tokens", "n_pairs", "n_contents", "long_prompts", "window", "max_rows"):
            checks.integer(name, getattr(self, name))
        checks.integer("n_seeds", self.n_seeds, 2, "A sweep compares seeds.")
        checks.integer("long_tokens", self.long_tokens, 2 * self.window, "Early and late windows are compared.")
        for depth in self.depths:
            if not 0 <= depth < 1:
                raise ValueError(f"depths holds {depth}; give shares of the model's blocks, from 0 to below 1.")


QUICK = Settings(
    scales=(0.15, 0.3, 0.5),
    n_texts=12,
    max_new_tokens=16,
    n_pairs=800,
    n_seeds=2,
    n_contents=2,
    long_tasks=(),
    layer_tasks=(),
)
