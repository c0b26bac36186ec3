"""`Settings`: how effects are measured."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from typing_extensions import Self

from ssae_lens.base import checks
from ssae_lens.hooks.decoding import Sampler
from ssae_lens.methods.sae_ts.texts import PROMPTS, TEXTS


@dataclass(frozen=True)
class Settings:
    """How effects are measured.

    Attributes
    ----------
    target
        By how much a vector raises the mean loss on `texts`, in nats a token; it is scaled so.
    texts
        What the loss is taken on.
    prompts
        What is continued.
    n_samples, n_baseline
        Continuations of each prompt under each vector, and without steering.
    max_new_tokens
        Tokens of each.
    temperature, top_k, top_p, seed
        How they are sampled, as in `generate_sweep`. The defaults are the paper's.
    """

    target: float = 0.5
    texts: tuple[str, ...] = TEXTS
    prompts: tuple[str, ...] = PROMPTS
    n_samples: int = 1
    n_baseline: int = 10
    max_new_tokens: int = 20
    temperature: float = 1.0
    top_k: int | None = 50
    top_p: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        for name in ("texts", "prompts"):
            given = getattr(self, name)
            if isinstance(given, str) or not given:
                raise ValueError(f"{name} is {given!r}; give at least one text, in a tuple.")
            object.__setattr__(
                self, name, tuple(given)
            )  # frozen: a list, as JSON gives it, is made what equals a default
        checks.above("target", self.target, 0)
        for name in ("n_samples", "n_baseline", "max_new_tokens"):
            checks.whole(name, getattr(self, name))
        self.sampler()

    def sampler(self) -> Sampler:
        """Return what picks the tokens."""
        return Sampler(self.temperature, self.top_k, self.top_p)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, perhaps through JSON."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
