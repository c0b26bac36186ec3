"""SAEs that ship with the package: folders ``assets/<release>/<sae_id>/`` in SAELens's format."""

from pathlib import Path

from ssae_lens.base import checks

ASSETS = Path(__file__).parents[1] / "assets"


def shipped() -> dict[str, list[str]]:
    """Return the releases that ship with the package, and the ids of the SAEs in each."""
    releases: dict[str, list[str]] = {}
    for cfg in sorted(ASSETS.glob("*/**/cfg.json")):
        release, *sae_id = cfg.parent.relative_to(ASSETS).parts
        if sae_id:
            releases.setdefault(release, []).append("/".join(sae_id))
    return releases


def asset_path(release: str, sae_id: str) -> Path:
    """Return the folder of an SAE that ships with the package, for ``SAE.load_from_disk``."""
    ids = shipped().get(release)
    if ids is None:
        raise ValueError(no_release(release))
    if sae_id not in ids:
        choices = ", ".join(map(repr, ids))
        raise ValueError(
            f"sae_id is {sae_id!r}; the release {release!r} holds {choices}.{checks.did_you_mean(sae_id, ids)}"
        )
    return ASSETS / release / sae_id


def no_release(release: str) -> str:
    """Return the error message for an unknown release: the releases there are, in one line."""
    names = list(shipped())
    ship = f"{', '.join(map(repr, names))} ship with ssae_lens" if names else "none ships with ssae_lens"
    return (
        f"There is no release {release!r}: {ship}.{checks.did_you_mean(release, names)} "
        "A repository of the Hugging Face Hub is named 'user/name'; SAELens's own releases are in its documentation."
    )
