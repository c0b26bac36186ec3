"""Decomposition: how much of a steering vector a sparse autoencoder explains, and with how many features.

- by its encoder: the codes of the vector at several lengths, read as if it were an activation;
- by orthogonal matching pursuit over its decoder rows, with signs and without, beside random rows.

Explained is 1 − ‖v − v̂‖² / ‖v‖².
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int

from ssae_lens.base import checks
from ssae_lens.base.provenance import versions
from ssae_lens.evals.results import EvalResult
from ssae_lens.hooks.generate import named_vectors
from ssae_lens.metrics._cosines import unit_rows
from ssae_lens.sae import SSAE
from ssae_lens.sae.codes import codes_of, origin_of_sae, require_usable, rows_of
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

# An SAE as it is, and with a ReLU in place of whatever sets small codes to zero.
WITH_THRESHOLD, NO_THRESHOLD = "SAE", "SAE, no threshold"
READINGS = (WITH_THRESHOLD, NO_THRESHOLD)
SSAE_ENCODER = "SSAE"
PURSUIT, POSITIVE, RANDOM_ROWS = "signed pursuit", "pursuit without signs", "signed pursuit, random atoms"
# A feature counts as used if its |code| is above this share of the largest.
MIN_SHARE = 0.1


class DecompositionResult(EvalResult):
    """What each reading of an SAE explains of each vector: a cell for each vector and reading."""

    name = "decomposition"

    def _tabulated(self) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(self.cells).drop(columns="features")

    def text(self) -> str:
        """Return a line for each vector and reading."""
        lines = [f"Decomposition by an SAE of {self.about['latents']} features", ""]
        width = max(len(cell["vector"]) for cell in self.cells)
        lines.append(f"{'vector':<{width}}  {'by':<32}{'length':>9}{'R²':>7}{'cosine':>8}{'active':>8}{'used':>6}")
        for cell in self.cells:
            numbers = f"{cell['length']:>9.3g}{cell['explained']:>7.2f}{cell['cosine']:>8.2f}"
            lines.append(f"{cell['vector']:<{width}}  {cell['by']:<32}{numbers}{cell['active']:>8}{cell['used']:>6}")
        caption = (
            "length is that at which the vector was read; used features have a |code| above a tenth of the largest."
        )
        return "\n".join([*lines, "", caption])

    def figure(self) -> Any:
        """Return a plotly figure: the best R² of each reading, for each vector."""
        import plotly.graph_objects as go

        best: Any = self.table.groupby(["by", "vector"], sort=False)["explained"].max()
        figure = go.Figure()
        for by in dict.fromkeys(self.table["by"]):
            figure.add_bar(x=best[by].index, y=best[by].to_numpy(), name=by)
        figure.update_yaxes(title="explained (R²)", range=[-0.2, 1])
        return figure.update_layout(title="Explained of each vector", barmode="group", template="plotly_white")


def decomposition(
    vector: SteeringVector | Sequence[SteeringVector] | Mapping[str, SteeringVector],
    sae: Any,
    *,
    lengths: Sequence[float] = (),
    max_atoms: int = 32,
    top: int = 12,
    seed: int = 0,
) -> DecompositionResult:
    """Measure how much of steering vectors an SAE explains, by its encoder and by pursuit over its decoder rows.

    Parameters
    ----------
    vector
        A vector, several, or vectors by name, each at the hook of the SAE.
    sae
        An SAE of SAELens; of an SSAE, the encoder and the pursuit.
    lengths
        Lengths at which the encoder reads the vector besides its own, such as multiples of the mean norm of activations: an
        SAE's bias and threshold are made for vectors as long as activations.
    max_atoms
        Maximum number of decoder rows in a pursuit.
    top
        Number of the strongest features to keep in each cell.
    seed
        Seed of the random rows.

    Returns
    -------
    DecompositionResult
        Its table has a row for each vector and reading: ``length``, ``explained`` (R²), ``cosine`` of the vector with its
        reconstruction, ``active`` features and ``used`` ones.

    Examples
    --------
    >>> rows = torch.eye(4)[:2]
    >>> vector = SteeringVector([3.0, 4.0, 0.0, 0.0], "blocks.0.hook_resid_post", concept="both")
    >>> result = decomposition(vector, SSAE.from_weights(rows.T, rows), max_atoms=1)
    >>> result.table[["by", "explained"]].round(2).values.tolist()[:2]
    [['SSAE', 1.0], ['signed pursuit', 0.64]]
    """
    require_usable(sae)
    checks.integer("max_atoms", max_atoms)
    for length in lengths:
        checks.above("lengths", length, 0)
    vectors = named_vectors([vector] if isinstance(vector, SteeringVector) else vector)
    atoms = rows_of(sae).numpy()
    random = np.random.default_rng(seed).normal(size=atoms.shape)
    cells = []
    for name, steering_vector in vectors.items():
        _require_fit(sae, steering_vector)
        v = steering_vector.direction.detach().cpu().float().numpy()
        norm = float(np.linalg.norm(v))
        readings = [SSAE_ENCODER] if isinstance(sae, SSAE) else READINGS
        for length in [norm, *map(float, lengths)]:
            for reading in readings:
                scaled = (v * (length / norm)).astype(np.float32)
                how = WITH_THRESHOLD if reading == SSAE_ENCODER else reading
                codes = read(sae, scaled[None], how)
                cell = {"vector": name, "by": reading, "length": length}
                cells.append({**cell, **_numbers(scaled, codes[0], decoded(sae, codes)[0], top)})
        for by, rows, signed in ((PURSUIT, atoms, True), (POSITIVE, atoms, False), (RANDOM_ROWS, random, True)):
            steps = pursuit(rows, v, max_atoms, signed=signed)
            codes = steps[-1].codes(len(rows)) if steps else np.zeros(len(rows))
            cells.append({"vector": name, "by": by, "length": norm, **_numbers(v, codes, codes @ rows, top)})
    about = {"latents": len(atoms), "max_atoms": max_atoms, "seed": seed, "versions": versions()}
    return DecompositionResult(cells, about)


@dataclass(frozen=True, eq=False)
class PursuitStep:
    """A vector as a sum of so many atoms.

    Attributes
    ----------
    atoms
        Their numbers, in the order in which they were taken.
    coefficients
        Their coefficients.
    explained
        1 − ‖v − v̂‖² / ‖v‖².
    """

    atoms: list[int]
    coefficients: Float[np.ndarray, " k"]
    explained: float

    def codes(self, n: int) -> Float[np.ndarray, " n"]:
        """Return a coefficient for each of the dictionary's n atoms, most of them 0."""
        codes = np.zeros(n)
        codes[self.atoms] = self.coefficients
        return codes


def pursuit(
    atoms: Float[np.ndarray, "n d"], vector: Float[np.ndarray, " d"], max_atoms: int, *, signed: bool = True
) -> list[PursuitStep]:
    """Return the steps of orthogonal matching pursuit: the sums of 1, 2, … atoms that it finds.

    Parameters
    ----------
    atoms
        A dictionary's rows, such as an SAE's decoder; their lengths do not influence which is taken.
    vector
        The vector to decompose.
    max_atoms
        Maximum number of atoms. It ends earlier if nothing is left, or no atom would help.
    signed
        Whether coefficients may be negative. If not, atoms that the fit sets to 0 stay among those taken.

    Examples
    --------
    >>> steps = pursuit(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0.6, 0.8]]), np.array([1.0, -3, 0]), 2)
    >>> steps[-1].atoms, steps[-1].coefficients.round(6).tolist(), steps[0].explained
    ([1, 0], [-3.0, 1.0], 0.9)
    """
    from scipy.optimize import nnls

    checks.integer("max_atoms", max_atoms)
    rows, vector = np.asarray(atoms, dtype=np.float64), np.asarray(vector, dtype=np.float64)
    if rows.ndim != 2 or vector.shape != rows.shape[1:]:
        raise ValueError(f"atoms has shape {rows.shape} and vector {vector.shape}; give rows as wide as the vector.")
    units, energy = unit_rows(rows), float(vector @ vector)
    if not energy:
        return []
    taken: list[int] = []
    steps: list[PursuitStep] = []
    residual = vector
    for _ in range(min(max_atoms, len(rows))):
        projections = units @ residual
        sizes = abs(projections) if signed else projections
        sizes[taken] = -np.inf
        best = int(sizes.argmax())
        # Below this, the residual is rounding.
        if sizes[best] <= 1e-9 * energy**0.5:
            break
        taken.append(best)
        some = rows[taken]
        fitted = np.linalg.lstsq(some.T, vector, rcond=None)[0] if signed else nnls(some.T, vector)[0]
        residual = vector - fitted @ some
        steps.append(PursuitStep(list(taken), fitted, 1 - float(residual @ residual) / energy))
    return steps


def read(sae: Any, rows: Float[np.ndarray, "n d"], how: str = WITH_THRESHOLD) -> Float[np.ndarray, "n d_sae"]:
    """Return an SAE's codes of rows, with or without its threshold."""
    rows = np.asarray(rows, dtype=np.float32)
    return codes_of(sae, rows).astype(np.float32) if how == WITH_THRESHOLD else np.maximum(inputs(sae, rows), 0)


@torch.no_grad()
def inputs(sae: Any, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d_sae"]:
    """Return the input of an SAE's activation function: for each feature, the row's projection and the bias."""
    captured: list[torch.Tensor] = []

    def capture(values: torch.Tensor, hook: Any) -> None:  # noqa: ARG001 - TransformerLens passes it by name
        captured.append(values)

    with sae.hooks(fwd_hooks=[("hook_sae_acts_pre", capture)]):
        sae.encode(torch.from_numpy(np.asarray(rows, dtype=np.float32)).to(sae.device, sae.dtype))
    return captured[0].float().cpu().numpy()


@torch.no_grad()
def decoded(sae: Any, codes: Float[np.ndarray, "n d_sae"]) -> Float[np.ndarray, "n d"]:
    """Return an SAE's reconstruction from codes, its decoder's bias included."""
    return sae.decode(torch.from_numpy(codes).to(sae.device, sae.dtype)).float().cpu().numpy()


def strongest(codes: Float[np.ndarray, " d_sae"], maximum: int) -> Int[np.ndarray, " few"]:
    """Return the features of the largest |codes|, largest first, without those that are 0."""
    order = np.argsort(-abs(codes), kind="stable")[:maximum]
    return order[codes[order] != 0]


def used(codes: Float[np.ndarray, " d_sae"]) -> int:
    """Return the number of features whose |code| is above a tenth of the largest."""
    sizes = abs(np.asarray(codes))
    return int((sizes > MIN_SHARE * sizes.max()).sum()) if sizes.any() else 0


def explained(vector: Float[np.ndarray, " d"], reconstructed: Float[np.ndarray, " d"]) -> float:
    """Return 1 − ‖v − v̂‖² / ‖v‖²; it is negative where the zero vector is nearer."""
    missed = np.square(vector - reconstructed, dtype=np.float64).sum()
    return float(1 - missed / np.square(vector, dtype=np.float64).sum())


def cosine(one: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"]) -> float:
    """Return the cosine of two vectors, 0 where one is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _numbers(vector: np.ndarray, codes: np.ndarray, reconstructed: np.ndarray, top: int) -> dict[str, Any]:
    return {
        "explained": explained(vector, reconstructed),
        "cosine": cosine(vector, reconstructed),
        "active": int((codes != 0).sum()),
        "used": used(codes),
        "features": [{"feature": int(i), "value": float(codes[i])} for i in strongest(codes, top)],
    }


def _require_fit(sae: Any, vector: SteeringVector) -> None:
    """Raise unless a vector belongs at the hook that an SAE reads, as far as both state it."""
    if vector.d_model != sae.cfg.d_in:
        raise ValueError(
            f"vector has {vector.d_model} numbers and the SAE reads d_in={sae.cfg.d_in}; give an SAE of its hook."
        )
    hook_name = origin_of_sae(sae).hook_name
    if hook_name and vector.hook_name != hook_name:
        raise ValueError(f"vector is at {vector.hook_name!r} and the SAE reads {hook_name!r}; give an SAE of its hook.")
