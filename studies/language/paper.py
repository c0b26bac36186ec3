"""The figures of the paper and of its code's plots that have a place beside ours, and those that have none.

All are of other models than ours by default: Llama-3.1-8B at the last token of layer 32 in the paper, Pythia-70m and
Gemma-2-2B in its later code.
"""

from dataclasses import dataclass

# What a file of labelled sentences is called here.
LABELLED = "labelled sentences"
LLAMA, PYTHIA, GEMMA = "Llama-3.1-8B", "Pythia-70m", "Gemma-2-2B"


@dataclass(frozen=True)
class Figure:
    """A published number.

    Attributes
    ----------
    corpus, method
        As they are called here, or as there where there is none here.
    score
        Our column that is computed as it was.
    width
        Its latents, where the figure depends on them.
    """

    corpus: str
    method: str
    score: str
    value: float
    model: str = LLAMA
    width: int | None = None


def _each(score: str, method: str, values: dict[str, float], model: str = LLAMA) -> list[Figure]:
    return [Figure(corpus, method, score, value, model) for corpus, value in values.items()]


FIGURES: tuple[Figure, ...] = (
    # What the first version calls MCC compares the decoders of seeds: its best settings, then the headline table.
    *_each("stability", "SSAE, v1", {"lang": 0.9948, "binary": 0.9908}),
    *_each(
        "stability",
        "SSAE",
        {"lang": 0.912, "binary": 0.890, "corr": 0.905, "gender": 0.902, "truth": 0.759, "bios": 0.823},
    ),
    *(
        Figure("cat", method, "stability", value, LLAMA, width)
        for method, by_width in {
            "SSAE": {135: 0.906, 150: 0.884, 200: 0.861, 300: 0.824, 500: 0.755},
            "affine": {135: 0.661, 200: 0.535, 500: 0.323},
        }.items()
        for width, value in by_width.items()
    ),
    # The cosine of steered and target, as the authors compute it.
    *_each(
        "steered_authors",
        "SSAE",
        {"lang": 0.46, "gender": 0.65, "binary": 0.77, "corr": 0.69, "cat": 0.76, "truth": 0.73},
    ),
    *_each(
        "steered_authors",
        "affine",
        {"lang": 0.43, "gender": 0.61, "binary": 0.58, "corr": 0.44, "cat": 0.61, "truth": 0.60},
    ),
    *_each("steered_authors", "mean difference", {"lang": 0.42, "gender": 0.49, "truth": 0.18}),
    *_each(
        "steered_authors",
        "best LlamaScope column",
        {"lang": 0.41, "gender": 0.67, "binary": 0.74, "corr": 0.36, "cat": 0.71, "truth": 0.77},
    ),
    *_each("steered_authors", "SSAE", {"binary → lang": 0.745, "corr → lang": 0.713}),
    *_each("steered_authors", "affine", {"binary → lang": 0.530, "corr → lang": 0.483}),
    # The later code: the largest correlation of a latent with each label.
    Figure(LABELLED, "SSAE, v2", "mcc_max", 0.643, PYTHIA),
    *_each("mcc_max", "SSAE, v2", {"sycophancy": 0.870, "refusal": 0.885, "bios": 0.872}, PYTHIA),
    *_each("mcc_max", "SAE", {"sycophancy": 0.743, "refusal": 0.772, "bios": 0.770}, PYTHIA),
    *_each("mcc_max", "SSAE, v2", {"sycophancy": 0.843, "refusal": 0.866, "bios": 0.859}, GEMMA),
    *_each("mcc_max", "GemmaScope", {"sycophancy": 0.811, "refusal": 0.852, "bios": 0.841}, GEMMA),
)


def figure_of(corpus: str, method: str, score: str, width: int | None = None) -> Figure | None:
    """Return the published number that stands beside one of ours, if there is one."""
    fitting = [each for each in FIGURES if (each.corpus, each.method, each.score) == (corpus, method, score)]
    return next((each for each in fitting if each.width in (None, width)), None)
