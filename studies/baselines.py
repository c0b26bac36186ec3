"""Baselines on the same shifts: linear methods, dictionary learning, SAELens's SAEs, and random directions.

Each function takes shifts and a width and returns a `FittedDictionary`. All take the same keywords and ignore those that
they do not need: `seed`, `steps`, and `active`, the maximum number of concepts that change.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float

from ssae_lens.base import checks
from ssae_lens.training.config import ProblemConfig, SolverConfig
from ssae_lens.training.data import open_data
from ssae_lens.training.runs import Run
from ssae_lens.training.training_group import TrainingGroup

# A level of the constraint that is never reached, so that the multiplier stays zero.
UNCONSTRAINED = 1e6
Architecture = Literal["standard", "topk", "abstopk", "jumprelu"]


@dataclass(frozen=True)
class FittedDictionary:
    """The directions that a method learned, and its encoder and decoder.

    Attributes
    ----------
    directions
        One for each latent, of any length.
    encode, decode
        Functions from shifts to codes, and from codes to shifts.
    of_activations
        Whether it encodes activations; then the codes of a shift are the difference between the codes of the two sides.
    """

    directions: Float[np.ndarray, "k d"]
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    of_activations: bool = False

    @classmethod
    def linear(
        cls,
        directions: Float[np.ndarray, "k d"],
        encoder: Float[np.ndarray, "d k"],
        centre: Float[np.ndarray, " d"] | float = 0,
    ) -> "FittedDictionary":
        """Return a dictionary with a linear encoder and decoder, around a centre."""
        return cls(directions, lambda rows: (rows - centre) @ encoder, lambda codes: codes @ directions + centre)

    @classmethod
    def from_sae(cls, sae: Any, scale: float = 1) -> "FittedDictionary":
        """Return the dictionary of an SAE that was trained on shifts times a scale."""

        @torch.no_grad()
        def encode(rows: np.ndarray) -> np.ndarray:
            return sae.encode(torch.from_numpy(rows * np.float32(scale))).numpy()

        @torch.no_grad()
        def decode(codes: np.ndarray) -> np.ndarray:
            return sae.decode(torch.from_numpy(codes)).numpy() / scale

        return cls(sae.W_dec.detach().numpy(), encode, decode)


def affine(
    shifts: Float[np.ndarray, "n d"], width: int, *, seed: int = 0, steps: int | None = None, **_: Any
) -> FittedDictionary:
    """Train an SSAE without its constraint: same weights, input map, optimiser and steps, for reconstruction alone."""
    solver = SolverConfig() if steps is None else SolverConfig(steps=steps)
    problem = ProblemConfig(width, level=UNCONSTRAINED, level_unit="absolute")
    data = open_data(shifts, solver.batch_size)
    group = TrainingGroup(data, problem, solver, [seed], [UNCONSTRAINED], torch.device("cpu"))
    Run(data, [group], seed=seed, about={}).go(quiet=True, checkpoint_every=None)
    return FittedDictionary.from_sae(group.ssae(0, {}))


def pca(shifts: Float[np.ndarray, "n d"], width: int, **_: Any) -> FittedDictionary:
    """Return the leading principal components."""
    from sklearn.decomposition import PCA

    fitted: Any = PCA(min(width, *shifts.shape), svd_solver="covariance_eigh").fit(shifts)
    return FittedDictionary.linear(fitted.components_, fitted.components_.T, fitted.mean_)


def fast_ica(shifts: Float[np.ndarray, "n d"], width: int, *, seed: int = 0, **_: Any) -> FittedDictionary:
    """Return independent components, at most as many as there are dimensions."""
    from sklearn.decomposition import FastICA

    n_components = min(width, shifts.shape[1])
    ica: Any = FastICA(n_components, whiten="unit-variance", whiten_solver="eigh", max_iter=1000, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that has not converged is scored as it is
        ica.fit(shifts)
    return FittedDictionary.linear(ica.mixing_.T, ica.components_.T, ica.mean_)


def dictionary_learning(
    shifts: Float[np.ndarray, "n d"], width: int, *, active: int, seed: int = 0, **_: Any
) -> FittedDictionary:
    """Train scikit-learn's online dictionary learning; encode by orthogonal matching pursuit with `active` codes."""
    from sklearn.decomposition import MiniBatchDictionaryLearning

    scale = np.linalg.norm(shifts, axis=1).mean()
    make: Any = MiniBatchDictionaryLearning  # its type stub takes only whole numbers for alpha
    learner = make(
        width,
        alpha=0.1,
        max_iter=10,
        batch_size=256,
        fit_algorithm="cd",
        transform_algorithm="omp",
        transform_n_nonzero_coefs=min(active, width),
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(shifts / scale)
    rows = learner.components_
    return FittedDictionary(rows, lambda values: learner.transform(values / scale), lambda codes: codes @ rows * scale)


def random_directions(shifts: Float[np.ndarray, "n d"], width: int, *, seed: int = 0, **_: Any) -> FittedDictionary:
    """Return random unit directions with their pseudo-inverse as encoder: a control."""
    rows = np.random.default_rng(seed).normal(size=(width, shifts.shape[1])).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return FittedDictionary.linear(rows, np.linalg.pinv(rows))


def sae(
    shifts: Float[np.ndarray, "n d"],
    width: int,
    *,
    architecture: Architecture,
    active: int,
    seed: int = 0,
    steps: int = 2500,
    batch_size: int = 256,
    lr: float = 1e-3,
) -> FittedDictionary:
    """Train an SAE with SAELens's trainer, on shifts scaled to a mean norm of √d as SAELens scales activations.

    `active` is the k of TopK and AbsTopK.
    """
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    checks.one_of("architecture", architecture, get_args(Architecture))
    scale = np.sqrt(shifts.shape[1]) / np.linalg.norm(shifts, axis=1).mean()
    rows = torch.from_numpy(shifts * np.float32(scale))
    # SAELens draws initial weights from the global generator of PyTorch; its state is restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = _training_sae(architecture, shifts.shape[1], width, active)
    cfg = SAETrainerConfig(
        total_training_samples=steps * batch_size,
        train_batch_size_samples=batch_size,
        lr=lr,
        lr_end=lr,
        lr_decay_steps=steps // 5,
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer = SAETrainer(cfg=cfg, sae=model, data_provider=iter(()))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        trainer.step(rows[torch.randint(len(rows), (batch_size,), generator=generator)])
        trainer.n_training_steps += 1
    return FittedDictionary.from_sae(model, scale)


def _training_sae(architecture: Architecture, d_in: int, d_sae: int, active: int) -> Any:
    import sae_lens as sl

    if architecture == "standard":
        return sl.StandardTrainingSAE(sl.StandardTrainingSAEConfig(d_in=d_in, d_sae=d_sae, l1_coefficient=1.0))
    if architecture == "jumprelu":
        return sl.JumpReLUTrainingSAE(sl.JumpReLUTrainingSAEConfig(d_in=d_in, d_sae=d_sae, l0_coefficient=1.0))
    kind, config = {
        "topk": (sl.TopKTrainingSAE, sl.TopKTrainingSAEConfig),
        "abstopk": (sl.AbsTopKTrainingSAE, sl.AbsTopKTrainingSAEConfig),
    }[architecture]
    return kind(config(d_in=d_in, d_sae=d_sae, k=min(active, d_sae)))


# The methods by name, each with its settings in words.
USES_CHANGES = "; uses the maximum number of changes"
BASELINES: dict[str, tuple[Callable[..., FittedDictionary], str]] = {
    "affine": (affine, "the SSAE without its constraint"),
    "PCA": (pca, "scikit-learn"),
    "FastICA": (fast_ica, "scikit-learn, log cosh"),
    "dictionary": (dictionary_learning, f"scikit-learn's online dictionary learning{USES_CHANGES}"),
    "SAE": (partial(sae, architecture="standard"), "SAELens's standard SAE; codes have one sign"),
    "TopK": (partial(sae, architecture="topk"), f"SAELens's TopK SAE{USES_CHANGES}; codes have one sign"),
    "AbsTopK": (partial(sae, architecture="abstopk"), f"SAELens's AbsTopK SAE{USES_CHANGES}"),
    "JumpReLU": (
        partial(sae, architecture="jumprelu"),
        "SAELens's JumpReLU SAE, L0 coefficient 1; codes have one sign",
    ),
    "random": (random_directions, "random directions: a control"),
}
