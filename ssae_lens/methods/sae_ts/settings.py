"""What the steps of SAE-TS share: settings with their default prompts and texts, unit vectors, and files.

Files are safetensors with a JSON header, matrices in half precision.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import Self

from ssae_lens.base import checks, tensor_files
from ssae_lens.hooks.decoding import Sampler

FORMAT = "ssae_lens.sae_ts."

T = TypeVar("T")

# Openings with little content, so that the continuations show what steering does.
PROMPTS = (
    "The other day",
    "My neighbour says",
    "It turns out that",
    "When we arrived,",
    "According to the report",
    "To make this at home,",
    "Dear colleagues,",
    "One of the children",
    "A short history of",
    "What surprised me was",
    "The price of",
    "On the way back",
)

# Plain prose of several registers, each about as long as the others.
TEXTS = (
    "The ferry leaves the harbour at seven every morning and comes back before dark.",
    "Melt the butter in a wide pan, add the onions, and let them soften.",
    "Bees visit more flowers when the fields around them are left to grow wild.",
    "I asked her whether she was coming, but she only shrugged and kept on reading.",
    "The council voted on Tuesday to repair the old bridge instead of building another.",
    "Please send us the signed form by Friday so that we can book your place.",
    "A triangle with two equal sides has two equal angles, and one that may differ.",
    "In winter the lake froze so hard that people walked across it to the town.",
)


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
            checks.integer(name, getattr(self, name))
        self.sampler()

    def sampler(self) -> Sampler:
        """Return what picks the tokens."""
        return Sampler(self.temperature, self.top_k, self.top_p)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, perhaps through JSON."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})


def unit_rows(vectors: Float[Tensor, "n d"], d_model: int) -> Float[Tensor, "n d"]:
    """Return rows of length 1, float32 on the CPU, or raise if the vectors cannot be normalised."""
    rows = torch.as_tensor(vectors).detach().to("cpu", torch.float32)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != d_model:
        raise ValueError(f"vectors has shape {tuple(rows.shape)}; give at least one row of d_model={d_model} numbers.")
    checks.finite_rows("vectors", rows)
    lengths = rows.norm(dim=1, keepdim=True)
    if (zero := (lengths == 0).flatten()).any():
        raise ValueError(
            f"vectors holds only zeros in row {int(zero.nonzero()[0])}, which points nowhere; leave it out."
        )
    return rows / lengths


def half(name: str, values: Tensor) -> Tensor:
    """Return values as half precision has them, in float32, or raise if it cannot hold them."""
    rounded = values.half()
    if not rounded.isfinite().all():
        raise ValueError(
            f"{name} holds NaN or numbers beyond 65504, the largest in half precision; scale the SAE's features down."
        )
    return rounded.float()


def save(
    path: str | Path, kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write tensors, those of two dimensions in half precision, and what is known of them."""
    stored = {name: (each.half() if each.ndim == 2 else each).contiguous() for name, each in tensors.items()}
    tensor_files.save(path, FORMAT + kind, stored, about, overwrite=overwrite)


def load(
    path: str | Path,
    kind: str,
    shapes: Mapping[str, str],
    make: Callable[[dict[str, Tensor], dict[str, Any]], T],
) -> T:
    """Return what `make` makes of what `save` wrote: tensors in float32 on the CPU, and what is known of them.

    Parameters
    ----------
    path, kind
        The file and what it must hold.
    shapes
        The tensors it must hold and their axes, as in ``{"effects": "n d_sae"}``; axes of one name are equally long.
    make
        See `tensor_files.load`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not whole, or holds something else.
    """

    def checked(tensors: dict[str, Tensor], about: dict[str, Any]) -> T:
        sizes: dict[str, int] = {}
        for name, axes in shapes.items():
            tensors[name] = tensors[name].float()
            for axis, size in zip(axes.split(), tensors[name].shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(f"{axis} is {size} in {name} and {sizes[axis]} before")
            checks.finite_rows(name, tensors[name])
        return make({name: tensors[name] for name in shapes}, about)

    return tensor_files.load(path, FORMAT + kind, checked, "make or copy it again")
