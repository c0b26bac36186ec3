"""The Sparse Shift Autoencoder, as SAELens knows architectures.

`SSAE` and `SSAEConfig` are what is saved, loaded and steered with; `TrainingSSAE` and `TrainingSSAEConfig` are their
twins for SAELens's own `SAETrainer`. Importing this package makes SAELens's loaders know the architecture ``"ssae"``.
"""

from sae_lens.registry import (
    SAE_CLASS_REGISTRY,
    SAE_TRAINING_CLASS_REGISTRY,
    register_sae_class,
    register_sae_training_class,
)

from ssae_lens.sae.files import ARCHITECTURE
from ssae_lens.sae.ssae import SSAE, SSAEConfig
from ssae_lens.sae.training_ssae import TrainingSSAE, TrainingSSAEConfig

__all__ = ["ARCHITECTURE", "SSAE", "SSAEConfig", "TrainingSSAE", "TrainingSSAEConfig", "register"]


def register() -> None:
    """Make SAELens's loaders know the architecture; a second call changes nothing."""
    if ARCHITECTURE not in SAE_CLASS_REGISTRY:
        register_sae_class(ARCHITECTURE, SSAE, SSAEConfig)
    if ARCHITECTURE not in SAE_TRAINING_CLASS_REGISTRY:
        register_sae_training_class(ARCHITECTURE, TrainingSSAE, TrainingSSAEConfig)


register()
