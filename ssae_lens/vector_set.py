"""Sets of steering vectors by name, in one file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ssae_lens.base import checks, tensor_files
from ssae_lens.steering_vector import SteeringVector

FORMAT = "ssae_lens.vector_set"


class VectorSet(Mapping[str, SteeringVector]):
    """Steering vectors by name, which `steer`, `generate_sweep` and the evals take, and which are saved in one file.

    Parameters
    ----------
    vectors
        Vectors by name.

    Examples
    --------
    >>> calm = SteeringVector([3.0, 4.0], "blocks.1.hook_resid_post", concept="calm")
    >>> vectors = VectorSet({"calm": calm, "very calm": 2 * calm})
    >>> vectors
    VectorSet of 2 vectors
    calm       length 5 at blocks.1.hook_resid_post
    very calm  length 10 at blocks.1.hook_resid_post
    """

    def __init__(self, vectors: Mapping[str, SteeringVector]) -> None:
        if not isinstance(vectors, Mapping) or not all(isinstance(one, SteeringVector) for one in vectors.values()):
            raise ValueError(f"vectors is {str(vectors)[:80]}; give SteeringVector objects by name.")
        if not vectors:
            raise ValueError("vectors is empty; give at least one SteeringVector by name.")
        self._vectors = {str(name): vector for name, vector in vectors.items()}

    @classmethod
    def from_ssae(cls, ssae: Any, concepts: Mapping[str, Any] | None = None) -> "VectorSet":
        """Return the vectors of all concepts with a latent, or, without concepts, of all latents: named ones by name.

        Parameters
        ----------
        ssae
            An `SSAE`.
        concepts
            The result of `match_concepts`.
        """
        if concepts is not None:
            matched = {name: concept for name, concept in concepts.items() if concept.latents}
            return cls({name: SteeringVector.from_ssae(ssae, concept) for name, concept in matched.items()})
        names = [entry.get("name") or number for number, entry in enumerate(ssae.latent_entries)]
        return cls({str(name): SteeringVector.from_ssae(ssae, name) for name in dict.fromkeys(names)})

    def __getitem__(self, name: str) -> SteeringVector:
        if name not in self._vectors:
            suggestion = checks.did_you_mean(name, self._vectors)
            raise KeyError(f"There is no vector {name!r} among {', '.join(self._vectors)}.{suggestion}")
        return self._vectors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save as one safetensors file; `overwrite` allows to replace a file of other contents."""
        tensors = {
            f"{number}.{hook}": direction
            for number, vector in enumerate(self.values())
            for hook, direction in vector.directions.items()
        }
        about = [{"name": name, **vector.to_metadata()} for name, vector in self.items()]
        tensor_files.save(path, FORMAT, tensors, {"vectors": about}, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "VectorSet":
        """Load a file that `save` wrote."""
        hint = "give an intact file that VectorSet.save wrote"
        return tensor_files.load(path, FORMAT, cls._from_metadata, hint, "Give a file that VectorSet.save wrote.")

    @classmethod
    def _from_metadata(cls, tensors: Mapping[str, Tensor], metadata: dict[str, Any]) -> "VectorSet":
        vectors = {}
        for number, about in enumerate(metadata["vectors"]):
            directions = {hook: tensors[f"{number}.{hook}"] for hook in about["hook_names"]}
            vectors[str(about["name"])] = SteeringVector.from_metadata(directions, about)
        return cls(vectors)

    def __repr__(self) -> str:
        width = max(map(len, self))
        lines = [f"{name:<{width}}  {vector.lengths}" for name, vector in self.items()]
        return "\n".join([f"VectorSet of {len(self)} vector{'s' * (len(self) > 1)}", *lines])
