"""`SteeringStudySettings`: the sizes of the comparison."""

from dataclasses import dataclass

from ssae_lens.base import checks
from ssae_lens.evals.experiment import SteeringSettings


@dataclass(frozen=True)
class SteeringStudySettings(SteeringSettings):
    """Sizes of a measurement, and of what only the study has.

    Attributes
    ----------
    n_pairs, n_seeds
        Maximum number of pairs that an SSAE is trained on, and seeds of its sweep.
    n_contents
        Number of sentences in which the side effects on every concept are measured.
    long_tasks, long_prompts, long_tokens, window
        The tasks with long texts, the number of prompts for them, their tokens, and the tokens that are judged together.
    layer_tasks, depths
        The tasks that are steered at other layers too, and these layers as shares of the model's blocks.
    """

    n_pairs: int = 2000
    n_seeds: int = 3
    n_contents: int = 3
    long_tasks: tuple[str, ...] = ("positive sentiment", "the sea")
    long_prompts: int = 4
    long_tokens: int = 200
    window: int = 50
    layer_tasks: tuple[str, ...] = ("positive sentiment", "French", "the sea")
    depths: tuple[float, ...] = (1 / 6, 1 / 3, 2 / 3, 5 / 6)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_pairs", "n_contents", "long_prompts", "window"):
            checks.integer(name, getattr(self, name))
        checks.integer("n_seeds", self.n_seeds, 2, "A sweep compares seeds.")
        checks.integer("long_tokens", self.long_tokens, 2 * self.window, "Early and late windows are compared.")
        for depth in self.depths:
            if not 0 <= depth < 1:
                raise ValueError(f"depths holds {depth}; give shares of the model's blocks, from 0 to below 1.")


QUICK = SteeringStudySettings(
    scales=(0.15, 0.3, 0.5),
    n_texts=12,
    max_new_tokens=16,
    n_pairs=800,
    n_seeds=2,
    n_contents=2,
    long_tasks=(),
    layer_tasks=(),
)
