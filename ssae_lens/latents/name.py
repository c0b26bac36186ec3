"""Names of latents without labels, given by a judge that reads their descriptions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np

from ssae_lens.latents.describe import LatentDescription, ShownPair, words_of
from ssae_lens.latents.judges.questions import Answer, Judge, Question, prompt

Candidates = Mapping[str, tuple[str, str]] | Sequence[str]

MAX_WORDS = 6
MAX_PAIRS = 6
# Standard deviations by which a word's changes must differ from those of a fair coin.
MIN_DEVIATION = 2.5
# The judge reads changed words if one changes in at least this fraction of the pairs, and the pairs themselves otherwise.
MIN_WORD_FREQUENCY = 1 / 3
# With at least this many latents, the mean score of each option is subtracted.
MIN_LATENTS_TO_CENTRE = 4


@dataclass(frozen=True)
class Name:
    """A judge's name for a latent.

    Attributes
    ----------
    latent
        Its index.
    name
        Its name, or None.
    sign
        1 if its direction makes the change as the candidate states it, −1 if it reverses it.
    confidence
        The probability that the judge gives the name, not calibrated; None if the judge has no scores.
    answer
        The judge's answer.
    """

    latent: int
    name: str | None
    sign: float
    confidence: float | None
    answer: Answer

    def if_at_least(self, min_confidence: float) -> "Name":
        """Return this name, or an empty one if its confidence is below `min_confidence`."""
        if self.confidence is None or self.confidence >= min_confidence:
            return self
        return replace(self, name=None, sign=1.0)


def name_latents(
    descriptions: Sequence[LatentDescription], judge: Judge, candidates: Candidates | None = None
) -> list[Name]:
    """Name latents by asking a judge about their descriptions.

    Parameters
    ----------
    descriptions
        As `describe_latents` returns them.
    judge
        The judge. A `LocalJudge` and a `LexicalJudge` read the words that change most often in the strongest pairs; a judge
        that follows instructions reads the pairs, promoted tokens and steered texts too.
    candidates
        The names to choose among, with or without the change as in ``{"tense": ("present", "past")}``; by default some
        forty common concepts. An empty list lets the judge use its own words.

    Notes
    -----
    A judge with scores prefers some options whatever it reads. With several latents, the mean score of each option over
    the latents estimates that bias and is subtracted. The confidence is the softmax of the result.
    """
    changes = _changes(candidates)
    by_option = {_option(name, change): name for name, change in changes.items()}
    evidence = [_evidence(description) for description in descriptions]
    questions = [
        _question(description, text, tuple(by_option)) for description, text in zip(descriptions, evidence, strict=True)
    ]
    answers = judge.answer(questions)
    chosen = _weighed(answers, list(by_option))
    names = [by_option.get(option, option) if option else None for option, _ in chosen]
    signs = _signs(judge, [changes.get(name or "", ("", "")) for name in names], evidence)
    return [
        Name(description.latent, name, sign, confidence, answer)
        for description, name, sign, (_, confidence), answer in zip(
            descriptions, names, signs, chosen, answers, strict=True
        )
    ]


def changed_words(description: LatentDescription) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return the words that the strongest pairs lose and those that they gain, with counts, most frequent first.

    Negative pairs count in reverse. Words of other concepts change in either direction at random, so a word is kept only if
    its net count differs from that of a fair coin by 2.5 standard deviations.
    """
    net: Counter[str] = Counter()
    gross: Counter[str] = Counter()
    for pairs, sign in ((description.positive, 1), (description.negative, -1)):
        for pair in pairs:
            lost, gained = (set(words_of(side.casefold())) for side in _differing(pair))
            net.update(dict.fromkeys(gained - lost, sign))
            net.update(dict.fromkeys(lost - gained, -sign))
            gross.update(gained ^ lost)
    significant = [(word, count) for word, count in net.items() if abs(count) >= MIN_DEVIATION * gross[word] ** 0.5]
    # Words with equal counts are sorted alphabetically, since sets have no order.
    significant.sort(key=lambda item: (-abs(item[1]), item[0]))
    lost = [(word, -count) for word, count in significant if count < 0]
    return lost, [(word, count) for word, count in significant if count > 0]


def common_concepts() -> dict[str, tuple[str, str]]:
    """Return the default candidates: names of common concepts with their changes."""
    return dict(_common())


@cache
def _common() -> dict[str, tuple[str, str]]:
    import yaml

    concepts = yaml.safe_load(files("ssae_lens.latents").joinpath("common_concepts.yaml").read_text(encoding="utf-8"))
    return {name: (before, after) for name, (before, after) in concepts.items()}


def _changes(candidates: Candidates | None) -> dict[str, tuple[str, str]]:
    if candidates is None:
        return common_concepts()
    if isinstance(candidates, Mapping):
        return {name: (str(before), str(after)) for name, (before, after) in candidates.items()}
    return dict.fromkeys(candidates, ("", ""))


def _option(name: str, change: tuple[str, str]) -> str:
    plain = name.replace("_", " ")
    return f"{plain} ({change[0]} to {change[1]})" if any(change) else plain


def _weighed(answers: Sequence[Answer], options: Sequence[str]) -> list[tuple[str | None, float | None]]:
    """Return each latent's option with its probability, or the answers as they are if the judge has no scores."""
    if not options or not all(answer.scores.keys() == set(options) for answer in answers):
        return [(answer.text, None) for answer in answers]
    scores = np.array([[answer.scores[option] for option in options] for answer in answers])
    if len(scores) >= MIN_LATENTS_TO_CENTRE:
        scores = scores - scores.mean(axis=0)
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return [
        (None, None) if answer.text is None else (options[int(row.argmax())], float(row.max()))
        for answer, row in zip(answers, probabilities, strict=True)
    ]


def _signs(judge: Judge, changes: Sequence[tuple[str, str]], evidence: Sequence[str]) -> list[float]:
    """Ask for the direction of each change; 1 if the judge has no answer, or the name has no direction."""
    signs = [1.0] * len(changes)
    questions = {
        i: Question(
            prompt("way", words=evidence[i]),
            (f"{before} to {after}", f"{after} to {before}"),
            prompt("way_stem"),
            evidence[i],
        )
        for i, (before, after) in enumerate(changes)
        if before or after
    }
    answers = judge.answer(list(questions.values())) if questions else []
    for (i, question), answer in zip(questions.items(), answers, strict=True):
        signs[i] = -1.0 if answer.text == question.options[1] else 1.0
    return signs


def _evidence(description: LatentDescription) -> str:
    """Return the words that change in most pairs or, if there are none, the differences of the strongest pairs."""
    lost, gained = changed_words(description)
    n_pairs = len(description.positive) + len(description.negative)
    if max((count for _, count in lost + gained), default=0) >= MIN_WORD_FREQUENCY * n_pairs > 0:
        return _arrow(*([word for word, _ in side[:MAX_WORDS]] for side in (lost, gained)))
    sides = [_differing(pair) for pair in description.positive[:MAX_PAIRS]]
    sides += [_differing(pair)[::-1] for pair in description.negative[:MAX_PAIRS]]
    return ", ".join(_arrow([before] * bool(before), [after] * bool(after)) for before, after in sides)


def _question(description: LatentDescription, evidence: str, options: tuple[str, ...]) -> Question:
    """Return the question in both forms: as an instruction, and as a stem with the evidence."""
    return Question(
        prompt(
            "name" if options else "name_open",
            words=evidence,
            positive=_pair_list(description.positive),
            negative=_pair_list(description.negative),
            promoted=", ".join(repr(token) for token, _ in description.promoted) or "-",
            suppressed=", ".join(repr(token) for token, _ in description.suppressed) or "-",
            steered="\n".join(f"{text.scale:+g}: {text.prompt} … {text.text}" for text in description.steered) or "-",
        ),
        options,
        prompt("name_stem"),
        evidence,
    )


def _differing(pair: ShownPair) -> tuple[str, str]:
    """Return the differing parts of both texts."""
    source = " ".join(pair.source[start:end] for start, end in pair.source_spans)
    return source, " ".join(pair.target[start:end] for start, end in pair.target_spans)


def _arrow(lost: Sequence[str], gained: Sequence[str]) -> str:
    return f"{', '.join(lost) or 'nothing'} → {', '.join(gained) or 'nothing'}"


def _pair_list(pairs: Sequence[ShownPair]) -> str:
    return "\n".join(f"{pair.source}\n  becomes {pair.target}" for pair in pairs[:MAX_PAIRS]) or "-"
