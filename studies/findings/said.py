"""What the numbers of each question say, in lines to read."""

from collections.abc import Callable, Iterator
from typing import Any

Numbers = dict[str, Any]


def coherence(found: Numbers) -> Iterator[str]:
    """Say what goes with a rise of coherence."""
    base = next(each for each in found["rows"] if each["vector"] == "unsteered")
    best, above = found["best"], found["of_those_above"]
    plain = _mean(base["coherence"])
    yield f"Unsteered coherence {plain:.3f}; {found['above']} of {found['points']} vectors and scales are above"
    yield (
        f"The best of one half of the prompts ({best['vector']}, scale {best['scale']:.2g}) is {best['chosen']:+.3f} there, "
        f"and on the other half {_shown(best['reported'], '+.3f')}"
    )
    yield "Rank correlation, over vectors and scales, of coherence's rise"
    yield f"  with the rise of the entropy of what tokens are drawn from   {_shown(found['entropy'])}"
    yield f"  with the rise of the share of distinct runs of tokens        {_shown(found['distinct'])}"
    yield f"  with what the unsteered model has at that entropy            {_shown(found['temperature'])}"
    yield (
        f"Of those above: mean rise {above['rise']:+.3f}, of which likelier text {above['by_likelihood']:+.3f}; entropy "
        f"{above['entropy']:+.2f} nats; the unsteered model at that entropy {above['expected']:+.3f}"
    )
    yield f"What a vector has beyond the unsteered model at the same entropy, all vectors: {_shown(found['left'], '+.3f')}"
    yield "The unsteered model by temperature: coherence (entropy, share of distinct runs)"
    curve = sorted((each for each in found["rows"] if each["vector"] == "unsteered"), key=lambda e: e["temperature"])
    yield "  " + "   ".join(
        f"{each['temperature']:g}: {_mean(each['coherence']):.3f} ({_mean(each['entropy']):.2f}, "
        f"{_mean(each['distinct']):.2f})"
        for each in curve
    )
    yield "Vectors: coherence less the unsteered model's, by scale (entropy less its)"
    by_name: dict[str, list[Numbers]] = {}
    for each in found["rows"]:
        if each["vector"] != "unsteered":
            by_name.setdefault(each["vector"], []).append(each)
    for name, rows in by_name.items():
        yield f"  {name:<10}" + "   ".join(
            f"{each['scale']:.2g}: {_mean(each['coherence']) - _mean(base['coherence']):+.3f} "
            f"({_mean(each['entropy']) - _mean(base['entropy']):+.2f})"
            for each in rows
        )
    shares = ", ".join(f"{name} {share:.3f}" for name, share in found["names"].items())
    yield f"Share of words that are names (capitals inside of sentences): {shares}"


def layers(found: Numbers, reach: Numbers) -> Iterator[str]:
    """Say what becomes of a vector further on, and what its features' effects say of that."""
    yield f"{found['vectors']} decoder rows added at their scales, while plain texts are read"
    yield f"  {'':<28}{'cosine with the vector':>26}{'same at all tokens':>24}{'share of the stream':>24}"
    for each in found["layers"]:
        numbers = "".join(f"{_shown(each[name]):>{w}}" for name, w in (("cosine", 26), ("steady", 24), ("size", 24)))
        yield f"  {each['hook']:<28}{numbers}"
    yield "Are vectors alike in their effects on the SAE's features (in texts they write) that are alike further on?"
    yield f"  {'as directions':<28}{_shown(found['of_vectors']):>24}"
    for each in found["layers"]:
        yield f"  {each['hook']:<28}{_shown(each['geometry']):>24}"
    yield f"  {'next tokens':<28}{_shown(found['output']):>24}"
    yield f"  {'(directions, next tokens)':<28}{_shown(found['output_of_vectors']):>24}"
    yield f"And in what is read of the texts they write, unsteered, by {reach['vectors']} other vectors?"
    for each in reach["later"]:
        yield f"  {each['hook']:<28}{_shown(each['geometry']):>24}"
    direct = _shown(found["direct"])
    yield f"Correlation over next tokens of what a vector does with what it would do by itself (v·W_U): {direct}"
    kl = _shown(found["size_and_kl"])
    yield f"Rank correlation of the length of an effect with the KL divergence of next tokens: {kl}"


def inverse(found: Numbers) -> Iterator[str]:
    """Say what the pseudo-inverse divides by, and what that does."""
    values = found["spectrum"]
    rest = len(values) - found["rank"]
    left = (
        f"; the other {rest} are what rounding leaves, to {values[-1]:.1e}" if rest else ", all of them above rounding"
    )
    yield (
        f"M was fitted to {found['fitted']} vectors: {found['rank']} singular values, {values[0]:.3g} to "
        f"{values[found['rank'] - 1]:.3g}{left}"
    )
    yield f"‖b‖ is {found['bias']:.2f} beside a target of length 1. Over {found['features']} features, before any steering:"
    yield f"  {'':<22}{'in rounding':>13}{'alike':>8}{'halves agree':>14}{'predicted own effect':>22}"
    for each in found["vectors"]:
        halves = "–" if each["halves"] is None else f"{each['halves']:.2f}"
        yield f"  {each['way']:<22}{each['beyond']:>13.3f}{each['alike']:>8.2f}{halves:>14}{each['predicted']:>22.3f}"
    measured = found["measured"]
    yield f"Steering, at an equal rise of the loss, {len(measured['features'])} features:"
    yield f"  {'':<22}{'effect on the own feature':>32}{'its share of the effect':>30}{'less targeted':>15}{'p':>8}"
    for each in measured["rows"]:
        yield (
            f"  {each['way']:<22}{_shown(each['own'], '.3f'):>32}{_shown(each['share'], '.3f'):>30}"
            f"{each['less_targeted']:>+15.3f}{each['p']:>8.3f}"
        )


def reach(found: Numbers) -> Iterator[str]:
    """Say how the prediction does at each multiple of the scales that it was fitted at."""
    yield (
        f"{found['vectors']} vectors that the map was not fitted to, at multiples of their scales; it says of itself R² "
        f"{found['r2_said']:.3f}"
    )
    yield f"  {'':>6}{'R²':>24}{'correlation':>24}{'gain':>24}{'with effects at 1':>24}{'common':>9}{'differing':>11}"
    for each in found["rows"]:
        numbers = "".join(f"{_shown(each[name]):>24}" for name in ("r2", "correlation", "gain", "with_shipped"))
        yield f"  {each['multiple']:>5g}×{numbers}{each['common']:>9.2f}{each['different']:>11.2f}"
    yield "R² as the map has it; correlation of what differs between vectors with the prediction; gain: by how much that is"
    yield "larger than predicted; correlation with the same vectors' shipped effects (at 1×: what measuring again leaves)"


SAID: dict[str, Callable[..., Iterator[str]]] = {
    "coherence": coherence,
    "layers": layers,
    "inverse": inverse,
    "reach": reach,
}


def _shown(found: Numbers, how: str = ".2f") -> str:
    return f"{found['estimate']:{how}} ({found['low']:{how}} to {found['high']:{how}})"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
