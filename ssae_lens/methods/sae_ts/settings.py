"""What the steps of SAE-TS share: `Settings` with the default prompts and texts, unit vectors, and files of tensors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import Self

from ssae_lens.base import checks, tensor_files
from ssae_lens.base.provenance import Origin, versions
from ssae_lens.hooks.decoding import Sampler

FORMAT = "ssae_lens.sae_ts."

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
            texts = getattr(self, name)
            if isinstance(texts, str) or not texts:
                raise ValueError(f"{name} is {texts!r}; give at least one text, in a tuple.")
            object.__setattr__(self, name, tuple(texts))  # JSON has lists
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
        known = {item.name for item in fields(cls)}
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


class TensorRecord:
    """A dataclass of tensors, their origin and plain values, in a safetensors file with a JSON header."""

    KIND: ClassVar[str]
    # The axes of each tensor, as in ``{"effects": "n d_sae"}``; axes of one name are equally long.
    SHAPES: ClassVar[Mapping[str, str]]

    origin: Origin

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the file, matrices in half precision."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}  # pyright: ignore[reportArgumentType]
        tensors = {name: values.pop(name) for name in self.SHAPES}
        stored = {name: (value.half() if value.ndim == 2 else value).contiguous() for name, value in tensors.items()}
        about = {name: value for name, value in values.items() if name not in ("origin", "settings")}
        about["origin"] = self.origin.to_dict()
        if "settings" in values:
            about["settings"] = asdict(values["settings"])
        about["versions"] = versions()
        tensor_files.save(path, FORMAT + self.KIND, stored, about, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote: tensors in float32 on the CPU."""
        return tensor_files.load(path, FORMAT + cls.KIND, cls._from_contents, "make or copy it again")

    @classmethod
    def _from_contents(cls, tensors: dict[str, Tensor], about: dict[str, Any]) -> Self:
        sizes: dict[str, int] = {}
        for name, axes in cls.SHAPES.items():
            tensors[name] = tensors[name].float()
            for axis, size in zip(axes.split(), tensors[name].shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(f"{axis} is {size} in {name} and {sizes[axis]} before")
            checks.finite_rows(name, tensors[name])
        values = {item.name: about[item.name] for item in fields(cls) if item.name not in cls.SHAPES}  # pyright: ignore[reportArgumentType]
        if "settings" in values:
            values["settings"] = Settings.from_dict(values["settings"])
        values["origin"] = Origin.from_dict(values["origin"])
        return cls(**{name: tensors[name] for name in cls.SHAPES}, **values)
