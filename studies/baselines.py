"""What others would do with the same shifts: linear methods, scikit-learn's, and controls.

Each function takes shifts and a width and gives a `Found`; those that begin at random take a seed.
"""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ssae_lens.training.config import ProblemConfig, SolverConfig
from ssae_lens.training.data import open_data
from ssae_lens.training.runs import Run
from ssae_lens.training.training_group import TrainingGroup
from studies.fitted_dictionary import Found, from_sae, linear

# A mean |code| that no fit reaches: the multiplier is zero from the first step to the last.
FREE = 1e6


def affine(shifts: Float[np.ndarray, "n d"], width: int, *, seed: int = 0, steps: int | None = None) -> Found:
    """Train the SSAE without its constraint: the same weights, input, optimiser and steps, for reconstruction alone."""
    solver = SolverConfig() if steps is None else SolverConfig(steps=steps)
    problem = ProblemConfig(width, level=FREE, level_unit="absolute")
    data = open_data(shifts, solver.batch_size)
    group = TrainingGroup(data, problem, solver, [seed], [FREE], torch.device("cpu"))
    Run(data, [group], seed=seed, about={}).go(quiet=True, checkpoint_every=None)
    return from_sae(group.ssae(0, {}))


def pca(shifts: Float[np.ndarray, "n d"], width: int) -> Found:
    """Take the leading principal directions."""
    from sklearn.decomposition import PCA

    fitted: Any = PCA(min(width, *shifts.shape), svd_solver="covariance_eigh").fit(shifts)
    return linear(fitted.components_, fitted.components_.T, fitted.mean_)


def fast_ica(shifts: Float[np.ndarray, "n d"], width: int, *, seed: int = 0) -> Found:
    """Take independent components (no more of them than dimensions)."""
    from sklearn.decomposition import FastICA

    ica: Any = FastICA(
        min(width, shifts.shape[1]), whiten="unit-variance", whiten_solver="eigh", max_iter=1000, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what has not converged by then is scored as it stands
        ica.fit(shifts)
    return linear(ica.mixing_.T, ica.components_.T, ica.mean_)


def dictionary_learning(
    shifts: Float[np.ndarray, "n d"], width: int, *, active: int, seed: int = 0, passes: int = 10
) -> Found:
    """Learn a dictionary by scikit-learn's online L1, and encode by orthogonal matching pursuit of `active` codes."""
    from sklearn.decomposition import MiniBatchDictionaryLearning

    scale = np.linalg.norm(shifts, axis=1).mean()
    learning: Any = MiniBatchDictionaryLearning  # its stub takes alpha for a whole number
    learner = learning(
        width,
        alpha=0.1,
        max_iter=passes,
        batch_size=256,
        fit_algorithm="cd",
        transform_algorithm="omp",
        transform_n_nonzero_coefs=min(active, width),
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(shifts / scale)
    return Found(
        learner.components_,
        lambda rows: learner.transform(rows / scale),
        lambda codes: codes @ learner.components_ * scale,
    )


def random_directions(shifts: Float[np.ndarray, "n d"], width: int, *, seed: int = 0) -> Found:
    """Draw directions at random, and read along them: what nothing learned gives."""
    rows = np.random.default_rng(seed).normal(size=(width, shifts.shape[1])).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return linear(rows, np.linalg.pinv(rows))
