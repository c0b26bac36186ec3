"""Names of latents without labels, given by a judge that reads their descriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np

from ssae_lens.latents.changed_words import foremost
from ssae_lens.latents.describe import LatentDescription, ShownPair
from ssae_lens.latents.judges.questions import Answer, Judge, Question, prompt

Candidates = Mapping[str, tuple[str, str]] | Sequence[str]

MAX_WORDS = 6
MAX_PAIRS = 6
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
    """Return the words that change with the latent or, if there are none, the differences of the strongest pairs."""
    if changes := foremost(description.changes, MAX_WORDS):
        return _arrow(
            *([side for side in sides if side] for sides in zip(*(each[:2] for each in changes), strict=True))
        )
    sides = [pair.differing for pair in description.positive[:MAX_PAIRS]]
    sides += [pair.differing[::-1] for pair in description.negative[:MAX_PAIRS]]
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


def _arrow(lost: Sequence[str], gained: Sequence[str]) -> str:
    return f"{', '.join(lost) or 'nothing'} → {', '.join(gained) or 'nothing'}"


def _pair_list(pairs: Sequence[ShownPair]) -> str:
    return "\n".join(f"{pair.source}\n  becomes {pair.target}" for pair in pairs[:MAX_PAIRS]) or "-"
