"""CAA: contrastive activation addition, in its two variants; and `equalise_norms`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ssae_lens.base import checks
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.generate import named_vectors
from ssae_lens.hooks.hook_points import hook_list
from ssae_lens.methods._mean_shift import mean_shift
from ssae_lens.methods.contrast import chosen_concept
from ssae_lens.pairs import concept_names
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from datasets import Dataset

    from ssae_lens.models.identity import Model

# Each kind and the position it reads at.
POSITIONS = {"answer": "answer", "tokens": "mean"}


def caa(
    model: "Model",
    pairs: "Dataset",
    hook: str | Sequence[str],
    *,
    kind: Literal["answer", "tokens"] = "answer",
    concept: str = "",
    batch_tokens: int = 4096,
    quiet: bool = False,
) -> SteeringVector:
    """Return the mean difference of activations between texts that show a behaviour and texts that do not.

    At each hook, v = Σ (a(xᵢ⁺) − a(xᵢ⁻)) / n over the n pairs. The two kinds differ in the activation a(x) of a text:

    - ``answer``: that at the letter of the answer, A in "(A)", or at the yes or no; Rimsky et al., arXiv 2312.06681, who
      steer by it after the instruction: ``positions=After("[/INST]")``.
    - ``tokens``: the mean over its tokens; what Chalnev et al., arXiv 2411.02193, compare with. They make it unit length
      (`SteeringVector.normalize`) and have the first token in the mean, which is left out here: it is far longer than the
      rest, and texts of different length would differ by it most of all.

    A scale of 1 adds as much as the texts differ on average.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, with its tokenizer.
    pairs
        A paired text data set; `load_pairs` reads files of A/B questions, whose target is the answer that matches.
    hook
        Where; several hooks give one vector with a direction at each.
    kind
        ``answer`` or ``tokens``.
    concept
        One that the pairs have signed changes of; by default the only one. Of pairs without labels, the target shows it.
    batch_tokens, quiet
        As in `capture_shifts`.

    See Also
    --------
    mean_shift : the same of pairs that were captured at any position.
    equalise_norms : what makes vectors of several behaviours equally strong.
    """
    checks.one_of("kind", kind, POSITIONS)
    if "changes" in getattr(pairs, "column_names", ()):
        concept = chosen_concept(concept, concept_names(pairs))  # an error comes before the model runs
    stores = capture_shifts(
        model, pairs, hook_list(hook), position=POSITIONS[kind], batch_tokens=batch_tokens, quiet=quiet
    )
    parts = [mean_shift(each, concept) for each in stores.values()]
    return SteeringVector(
        {each.hook_name: each.direction for each in parts},
        origin=parts[0].origin,
        method=f"caa_{kind}",
        concept=parts[0].concept,
        norms={each.hook_name: each.norms for each in parts},
    )


def equalise_norms(vectors: Iterable[SteeringVector] | Mapping[str, SteeringVector]) -> dict[str, SteeringVector]:
    """Make vectors of several behaviours equally long at each hook: as long as they are there on average.

    vₖ ← vₖ · (Σⱼ‖vⱼ‖ / n) / ‖vₖ‖, hook by hook, so that one scale means as much for one behaviour as for another.

    Parameters
    ----------
    vectors
        Vectors at the same hooks of one model, by name or several, which are then called by their concepts.

    Examples
    --------
    >>> calm = SteeringVector([3.0, 4.0], "blocks.1.hook_resid_post", concept="calm")
    >>> glad = SteeringVector([0.0, 1.0], "blocks.1.hook_resid_post", concept="glad")
    >>> equalise_norms([calm, glad])["glad"].direction
    tensor([0., 3.])
    """
    by_name = named_vectors(vectors)
    (first_name, first), *others = by_name.items()
    for name, each in others:
        what = f"{first_name!r} and {name!r} cannot be made equal"
        first.origin.require_same(each.origin, what, ignoring=("hook_name", "position"))
        if set(each.hook_names) != set(first.hook_names):
            raise ValueError(
                f"{what}: they have directions at {', '.join(first.hook_names)} and at {', '.join(each.hook_names)}; give "
                "vectors at the same hooks."
            )
    means: dict[str, Any] = {
        hook: sum(float(each.directions[hook].norm()) for each in by_name.values()) / len(by_name)
        for hook in first.hook_names
    }
    return {name: _with_lengths(each, means) for name, each in by_name.items()}


def _with_lengths(vector: SteeringVector, lengths: Mapping[str, float]) -> SteeringVector:
    return SteeringVector(
        {hook: values * (lengths[hook] / values.norm()) for hook, values in vector.directions.items()},
        origin=vector.origin,
        method=vector.method,
        concept=vector.concept,
        norms={hook: vector.at(hook).norms for hook in vector.hook_names},
    )
