"""`Lab`: what methods learn with: a model and a hook, and what was captured and trained there so far."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssae_lens import methods as makers
from ssae_lens.base.origin import Origin
from ssae_lens.evals.steering.local_judges import mean_activations
from ssae_lens.evals.steering.prompts import NEUTRAL
from ssae_lens.evals.steering.saes import Features, shipped_features
from ssae_lens.evals.steering.settings import Settings
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.hook_points import origin_of, reading, resolve_hook
from ssae_lens.latents.match import match_concepts
from ssae_lens.sae import SSAE
from ssae_lens.sae.codes import codes_of
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.training._sweep import sweep

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

# Of an SAE's features, how many of those that differ most are tried for their effect on the output.
CANDIDATES = 20


class Lab:
    """What methods learn with: a model, a hook, and what was captured and trained there so far."""

    def __init__(
        self,
        model: "Model",
        hook: str = "",
        settings: Settings | None = None,
        *,
        features: Features | None = None,
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.settings = settings or Settings()
        self.hook = resolve_hook(model, hook or f"blocks.{model.cfg.n_layers // 2}.hook_resid_post")
        self.features = features or shipped_features(model)
        self.quiet = quiet
        self._kept: dict[Any, Any] = {}

    def hooks(self, task: Task) -> list[str]:
        """Return the study's hook and, for a task that is steered at several, those of the other layers."""
        if task.name not in self.settings.layer_tasks:
            return [self.hook]
        blocks = (int(depth * self.model.cfg.n_layers) for depth in self.settings.depths)
        return list(dict.fromkeys([self.hook, *(f"blocks.{block}.hook_resid_post" for block in blocks)]))

    def caa(self, task: Task, kind: Any) -> SteeringVector:
        """Return contrastive activation addition's vector at all of these hooks, read in one pass."""

        def make() -> SteeringVector:
            return makers.caa(self.model, task.contrasts, self.hooks(task), kind=kind, quiet=self.quiet)

        return self._once(("caa", task.fingerprint, kind), make)

    def contrasts(self, task: Task) -> ShiftStore:
        """Capture a task's labelled contrasts."""
        return self._once(("contrasts", task.fingerprint), lambda: self._capture(task.contrasts, task.position))

    def pool(self, task: Task) -> ShiftStore:
        """Capture the pairs in which several concepts change."""
        if task.pool is None:
            raise ValueError("the task has no pairs in which several concepts change")
        pairs = task.pool.pairs
        return self._once(("pool", id(task.pool), task.position), lambda: self._capture(pairs, task.position))

    def ssae(self, task: Task) -> SSAE:
        """Learn an SSAE from these pairs, without their labels."""
        return self._once(("ssae", id(task.pool), task.position), lambda: self._learn(task))

    def latent(self, task: Task) -> int | None:
        """Say which latent is the task's concept, if one fits."""
        found = self._once(
            ("matches", id(task.pool), task.position),
            lambda: match_concepts(self.ssae(task), self.pool(task), quiet=True),
        )
        return found[task.concept].latent

    def feature(self, task: Task, features: Features) -> int:
        """Choose an SAE's feature: of those that differ most between the contrasts, the one of most effect on the output."""
        return self._once(("feature", task.fingerprint), lambda: self._feature(task, features))

    def norm(self, hook_name: str) -> float:
        """Return the mean norm of activations in neutral prose, the first tokens left out."""
        return self._once(("norm", hook_name), lambda: self._norm(hook_name))

    def origin(self, hook_name: str) -> Origin:
        """Say where vectors at a hook belong."""
        return self._once(("origin", hook_name), lambda: origin_of(self.model, hook_name))

    def of_one_length(self, vector: SteeringVector) -> SteeringVector:
        """Make a vector of length 1, that knows the norm of activations at its hook as all others know it."""
        norms = {"mean_residual_norm": self.norm(vector.hook_name)}
        unit = vector.direction / vector.direction.norm()
        return SteeringVector(unit, origin=vector.origin, method=vector.method, concept=vector.concept, norms=norms)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _capture(self, pairs: Any, position: str) -> ShiftStore:
        return capture_shifts(self.model, pairs, self.hook, position=position, quiet=self.quiet)

    def _learn(self, task: Task) -> SSAE:
        assert task.pool is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few pairs, or a budget not met, are seen in the scores
            shifts = self.pool(task)
            return sweep(shifts, d_sae=task.pool.widths, seeds=self.settings.n_seeds, quiet=self.quiet).best

    def _feature(self, task: Task, features: Features) -> int:
        sae, hook_name = features.sae, features.hook_name
        firing = [
            mean_activations(self.model, task.contrasts[side][:], hook_name, lambda rows: codes_of(sae, rows)).mean(0)
            for side in ("source", "target")
        ]
        candidates = np.argsort(firing[0] - firing[1], kind="stable")[:CANDIDATES].tolist()
        return int(makers.features_by_output(self.model, sae, candidates, n=1, quiet=True)["latent"].iloc[0])

    def _norm(self, hook_name: str) -> float:
        with reading(self.model, [hook_name]) as read:
            rows = [read(self.model.to_tokens(text))[hook_name][0, 1:] for text in NEUTRAL]
        return float(torch.cat(rows).float().norm(dim=-1).mean())
