"""k-sparse probes of the fifteen attributes of `sentences`: ``python -m studies probes``."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.evals._probes import KS, FeatureReader, ProbeResult, probes
from ssae_lens.evals.shipped_sae import load_shipped_sae
from ssae_lens.training._sweep import sweep
from studies.language.corpora import QUICK, Captures
from studies.language.grid import HALFWAY, MAIN, width_sweep
from studies.language.methods import sae_of_activations

if TYPE_CHECKING:
    from studies.baselines import FittedDictionary

__all__ = ["KS", "ProbeResult", "run"]

# The width and the active features of a wide SAE of the same activations, and the seeds of the SSAE's sweep.
WIDE, ACTIVE, SEEDS = 1024, 32, 5
QUICK_STEPS = 800
QUICK_KS = (1, 2, 5, 10)


def run(
    out: Path | None = None, quick: bool = False, quiet: bool = False, *, model: Any = "smollm2-135m"
) -> ProbeResult:
    """Probe SSAE codes, SAE codes and raw shifts of `sentences`, and write `probes.json` and `probes.html` into `out`.

    The baselines are a TopK SAE of SAELens trained on the same activations and, for a model with a shipped SAE, that SAE.

    Parameters
    ----------
    out
        A folder for captures and results. The language study has the same captures and can share the folder.
    quick
        Run with fewer pairs, widths, steps and numbers of features.
    quiet
        Show no progress.
    model
        The name of a model, or a model.
    """
    with _folder(out) as folder:
        captures = Captures(model, folder / "captures", sizes=QUICK if quick else None, quiet=quiet)
        hook = captures.hook(HALFWAY)
        captures.read(MAIN, [hook], "mean")
        data = captures.file(MAIN, hook, "mean").open()
    steps: dict[str, Any] = {"steps": QUICK_STEPS} if quick else {}
    widths = width_sweep(MAIN, quick=quick).settings["d_sae"]
    ssae = sweep(data.train, d_sae=widths, seeds=SEEDS, device="cpu", quiet=quiet, **steps).best
    wide = sae_of_activations(data, WIDE, architecture="topk", active=ACTIVE, **steps)
    shipped = load_shipped_sae(captures.model)
    measured = probes(
        ssae,
        data.train,
        data.test,
        sae=shipped.sae if shipped and shipped.hook_name == hook else None,
        features={f"TopK SAE, {WIDE}": reader_of(wide)},
        ks=QUICK_KS if quick else KS,
        quiet=quiet,
    )
    result = ProbeResult(measured.cells, {**measured.about, "model": captures.about, "hook": hook, "quick": quick})
    if out is not None:
        result.save(out)
    return result


def reader_of(dictionary: "FittedDictionary") -> FeatureReader:
    """Return features of pairs for a dictionary of activations: the difference between the codes of both sides."""
    return lambda source, target: dictionary.encode(target) - dictionary.encode(source)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary if out is None else out)
