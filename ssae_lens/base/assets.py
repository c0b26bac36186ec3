"""What ships with the package: folders ``assets/<release>/<sae_id>/`` in SAELens's format, found by name."""

from pathlib import Path

from ssae_lens.base import checks

ASSETS = Path(__file__).parents[1] / "assets"


def shipped() -> dict[str, list[str]]:
    """Return the names of the releases that ship with the package, each with the ids of its SAEs."""
    found: dict[str, list[str]] = {}
    for cfg in sorted(ASSETS.glob("*/**/cfg.json")):
        release, *rest = cfg.parent.relative_to(ASSETS).parts
        if rest:
            found.setdefault(release, []).append("/".join(rest))
    return found


def asset_path(release: str, sae_id: str) -> Path:
    """Return the folder of an SAE that ships with the package.

    Examples
    --------
    A folder of any architecture that SAELens knows, for ``SAE.load_from_disk``; what else lies in it (the maps that SAE-TS
    steers by, say) is read from the same folder.
    """
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
    """Say in one line which releases there are instead of `release`."""
    names = list(shipped())
    ship = f"{', '.join(map(repr, names))} ship with ssae_lens" if names else "none ships with ssae_lens"
    return (
        f"There is no release {release!r}: {ship}.{checks.did_you_mean(release, names)} "
        "A repository of the Hugging Face Hub is named 'user/name'; SAELens's own releases are in its documentation."
    )
