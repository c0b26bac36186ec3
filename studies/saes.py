"""SAELens's own SAEs, trained on shifts by SAELens's own trainer."""

from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float

from ssae_lens.base import checks
from studies.fitted_dictionary import Found, from_sae

Architecture = Literal["standard", "topk", "abstopk"]


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
    l1_coefficient: float = 1.0,
) -> Found:
    """Train an SAE of SAELens's on shifts, scaled to a mean length of √d as SAELens scales activations.

    Parameters
    ----------
    active
        The k of TopK and AbsTopK.
    l1_coefficient
        Of the standard SAE.
    """
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    checks.one_of("architecture", architecture, get_args(Architecture))
    scale = np.sqrt(shifts.shape[1]) / np.linalg.norm(shifts, axis=1).mean()
    rows = torch.from_numpy(shifts * np.float32(scale))
    # The weights' initial values are drawn from PyTorch's global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = _model(architecture, shifts.shape[1], width, active, l1_coefficient)
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
    found = from_sae(model)
    return Found(
        found.directions,
        lambda values: found.encode(values * np.float32(scale)),
        lambda codes: found.decode(codes) / scale,
    )


def _model(architecture: str, d_in: int, d_sae: int, active: int, l1_coefficient: float) -> Any:
    import sae_lens as sl

    if architecture == "standard":
        cfg = sl.StandardTrainingSAEConfig(d_in=d_in, d_sae=d_sae, l1_coefficient=l1_coefficient)
        return sl.StandardTrainingSAE(cfg)
    kinds = {
        "topk": (sl.TopKTrainingSAE, sl.TopKTrainingSAEConfig),
        "abstopk": (sl.AbsTopKTrainingSAE, sl.AbsTopKTrainingSAEConfig),
    }
    kind, config = kinds[architecture]
    return kind(config(d_in=d_in, d_sae=d_sae, k=min(active, d_sae)))
