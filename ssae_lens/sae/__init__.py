"""The Sparse Shift Autoencoder as a SAELens architecture.

`SSAE` and `SSAEConfig` are saved, loaded and steered with; `TrainingSSAE` and `TrainingSSAEConfig` are for SAELens's own
`SAETrainer`. Importing this package registers the architecture ``"ssae"`` with SAELens's loaders.
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
    """Register the architecture with SAELens's loaders; a second call has no effect."""
    if ARCHITECTURE not in SAE_CLASS_REGISTRY:
        register_sae_class(ARCHITECTURE, SSAE, SSAEConfig)
    if ARCHITECTURE not in SAE_TRAINING_CLASS_REGISTRY:
        register_sae_training_class(ARCHITECTURE, TrainingSSAE, TrainingSSAEConfig)


register()
