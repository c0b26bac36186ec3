"""Selection of latents by number, by the names in an SSAE's metadata, or by a matched concept."""

from typing import Any

from ssae_lens.base import checks


def row_weights(cfg: Any, latent: Any) -> list[tuple[int, float]]:
    """Return the latents that a number, a name or a `Concept` stands for, with the weights of their rows in one change."""
    if hasattr(latent, "latents"):  # a Concept
        if not latent.latents:
            raise ValueError(_unmatched(latent))
        return list(zip(latent.latents, latent.weights, strict=True))
    if isinstance(latent, str):
        return _named(cfg, latent)
    d_sae, row = cfg.d_sae, checks.as_int(latent)
    if row is None or not -d_sae <= row < d_sae:
        raise ValueError(f"latent is {latent!r}; this SSAE has latents 0 to {d_sae - 1}.")
    typical = cfg.metadata.typical
    return [(row, float(typical[row]) or 1.0 if isinstance(typical, list) and len(typical) == d_sae else 1.0)]


def latent_entries(cfg: Any) -> list[dict[str, Any]]:
    """Return what an SSAE's metadata hold of each latent, as `Concepts.attach` writes it; an empty entry where nothing."""
    held = cfg.metadata.latents if isinstance(cfg.metadata.latents, list) else []
    entries = [entry if isinstance(entry, dict) else {} for entry in held[: cfg.d_sae]]
    return entries + [{}] * (cfg.d_sae - len(entries))


def _named(cfg: Any, name: str) -> list[tuple[int, float]]:
    """Return the latents of a name in an SSAE's metadata, with sign times scale."""
    named = [(i, entry) for i, entry in enumerate(latent_entries(cfg)) if entry.get("name")]
    found = [
        (i, float(entry.get("sign", 1)) * float(entry.get("scale", 1))) for i, entry in named if entry["name"] == name
    ]
    if not found:
        all_names = list(dict.fromkeys(str(entry["name"]) for _, entry in named))
        names = f"named {', '.join(all_names)}" if named else "and none has a name; Concepts.attach names them"
        suggestion = checks.did_you_mean(name, all_names)
        raise ValueError(f"latent is {name!r}; this SSAE has latents 0 to {cfg.d_sae - 1}, {names}.{suggestion}")
    return found


def _unmatched(concept: Any) -> str:
    """Return the error message for a concept that `match_concepts` matched to no latent."""
    nearest, fit = (getattr(concept, name, None) for name in ("runner_up", "runner_up_fit"))
    runner_up = "" if nearest is None or fit is None else f" (the nearest, latent {nearest}, has a fit of {fit:.2f})"
    return (
        f"No latent was matched to the concept {getattr(concept, 'concept', '')!r}{runner_up}; give a latent's number, call "
        "match_concepts with lower thresholds, or train on more pairs in which the concept changes."
    )
