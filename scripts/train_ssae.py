"""Train the SSAE that ships with the package, and write its card: SmolLM2-135M, block 15, the corpus `sentences`.

    python scripts/train_ssae.py --out ssae_lens/assets/smollm2-135m-ssae

No label is used in training. Labels of the training pairs name the latents, and labels of held-out pairs score them. It
takes about ten minutes on two cores.
"""

import argparse
from pathlib import Path

import numpy as np

import ssae_lens as sl
from ssae_lens.latents.codes import codes_of
from ssae_lens.metrics import correlations, cosines, mcc_codes

MODEL, HOOK, CORPUS = "smollm2-135m", "blocks.15.hook_resid_post", "sentences"
WIDTH, SEEDS, TRAIN, TEST = 32, 5, 4000, 1000

CARD = """# An SSAE of SmolLM2-135M

A Sparse Shift Autoencoder of the residual stream after block 15 of 30 (`{hook}`) of
SmolLM2-135M-Instruct, trained without labels on {train} pairs of the built-in corpus `{corpus}`, in which one to three
of fifteen attributes change per pair (activations are means over tokens). It has {d_sae} latents, refined from {width}.

```python
import ssae_lens as sl

ssae = sl.SSAE.from_pretrained("smollm2-135m-ssae", "{hook}")
vector = sl.SteeringVector.from_ssae(ssae, "tense")
```

Names are from the labels of the training pairs; each row adds the change `is → was`, `singular → plural` and so on in the
direction of the labels. On {test} held-out pairs the correlation of codes with labels is {mcc:.3f} in the mean.

| name | latent | scale | threshold | split-half stability | fit, held out | active |
|---|---|---|---|---|---|---|
{rows}

`scale` is the size of one change, and codes are zero below `threshold`, both in units of the residual stream.
`split-half stability` is the smaller |cosine| of the row with its match in SSAEs of either half of the pairs; `fit` the
|correlation| of codes with the label; `active` the fraction of pairs with a code that is not zero.

`scripts/train_ssae.py` makes it, in about ten minutes on two cores.

## Licence

MIT, as the package. The model is Apache-2.0; the corpus is part of the package.
"""


def main() -> None:
    """Capture, train, name, score and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    model = sl.load_model(MODEL)
    train, test = (
        sl.capture_shifts(model, sl.load_pairs(CORPUS, split, n=n), HOOK, position="mean")
        for split, n in (("train", TRAIN), ("test", TEST))
    )
    ssae = sl.sweep(train, d_sae=WIDTH, seeds=SEEDS, halves=False).best
    concepts = sl.match_concepts(ssae, train)
    concepts.attach(ssae)
    halves = [train.subset(np.arange(len(train)) % 2 == half) for half in (0, 1)]
    fits = [sl.sweep(half, d_sae=WIDTH, seeds=SEEDS, halves=False).best for half in halves]
    stability = np.min([abs(cosines(ssae.W_dec.detach(), half.W_dec.detach())).max(1) for half in fits], axis=0)
    codes, labels = codes_of(ssae, test), np.asarray(test.labels)
    fit = abs(correlations(codes, labels))
    rows = []
    for number, entry in enumerate(ssae.cfg.metadata.latents):
        column = test.concepts.index(entry["name"]) if entry["name"] else None
        entry |= {"split_half": round(float(stability[number]), 4)}
        cells = [entry["name"] or "–", number, f"{entry['scale']:.2f}" if entry["name"] else "–"]
        cells += [f"{float(ssae.threshold[number]):.2f}", f"{stability[number]:.3f}"]
        cells += ["–" if column is None else f"{fit[number, column]:.3f}", f"{(codes[:, number] != 0).mean():.3f}"]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    ssae.save_model(out / HOOK)
    text = CARD.format(
        hook=HOOK, corpus=CORPUS, train=TRAIN, test=TEST, d_sae=ssae.cfg.d_sae, width=WIDTH, rows="\n".join(rows),
        mcc=mcc_codes(codes, labels).score,
    )  # fmt: skip
    (out / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
