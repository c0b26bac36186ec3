"""`run`: k-sweep probes of the fifteen attributes of `sentences`, as the command `python -m studies probes` has them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.evals.steering.saes import shipped_features
from ssae_lens.training._sweep import sweep
from studies.language.captures import Captures
from studies.language.corpora import QUICK
from studies.language.grid import HALFWAY, MAIN, choice
from studies.language.methods import sae_of_activations
from studies.probes.features import Reader
from studies.probes.result import ProbeResult
from studies.probes.sweep import KS, probe_sweep

if TYPE_CHECKING:
    from studies.fitted_dictionary import Found

# A wide SAE of the same activations, and the seeds that the SSAE's width is chosen with.
WIDE, ACTIVE, SEEDS = 1024, 32, 5
QUICK_STEPS = 800
QUICK_KS = (1, 2, 5, 10)


def run(
    out: Path | None = None, quick: bool = False, quiet: bool = False, *, model: Any = "smollm2-135m"
) -> ProbeResult:
    """Probe SSAE codes, SAE codes and raw shifts of `sentences`: the tables, `probes.json` and `probes.html` in `out`.

    Beside the SSAE, its width chosen without labels, stand a TopK SAE of SAELens's trained on the same activations and, of a
    model that one ships for, that SAE.

    Parameters
    ----------
    out
        A folder for captures and results. Captures are those of the language studies, and one folder serves both.
    quick
        Fewer pairs, widths, steps and numbers of features.
    model
        Its name, or the model itself.
    """
    with _folder(out) as folder:
        captures = Captures(model, folder / "captures", most=QUICK if quick else None, quiet=quiet)
        hook = captures.hook(HALFWAY)
        captures.read(MAIN, [hook], "mean")
        data = captures.place(MAIN, hook, "mean").open()
    steps: dict[str, Any] = {"steps": QUICK_STEPS} if quick else {}
    widths = choice(MAIN, quick=quick).settings["d_sae"]
    ssae = sweep(data.train, d_sae=widths, seeds=SEEDS, device="cpu", quiet=quiet, **steps).best
    wide = sae_of_activations(data, WIDE, architecture="topk", active=ACTIVE, **steps)
    shipped = shipped_features(captures.model)
    found = probe_sweep(
        ssae,
        data.train,
        data.test,
        sae=shipped.sae if shipped and shipped.hook_name == hook else None,
        features={f"TopK SAE, {WIDE}": reader_of(wide)},
        ks=QUICK_KS if quick else KS,
        quiet=quiet,
    )
    about = {**found.about, "model": captures.about, "hook": hook, "quick": quick}
    return ProbeResult(found.cells, about).kept(out)


def reader_of(found: "Found") -> Reader:
    """Read pairs by what was learned of activations: the difference of the codes of both sides."""
    return lambda source, target: found.encode(target) - found.encode(source)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary if out is None else out)
