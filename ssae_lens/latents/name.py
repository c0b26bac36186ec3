"""Names for latents without labels: what is told of each to a judge, and what is made of its answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np

from ssae_lens.latents.describe import LatentDescription, ShownPair, words_of
from ssae_lens.latents.judges.prompts import prompt
from ssae_lens.latents.judges.questions import Answer, Judge, Question

Candidates = Mapping[str, tuple[str, str]] | Sequence[str]

SHOWN_WORDS = 6
SHOWN_PAIRS = 6
CLEAR = 2.5
# Words are told of where one changes in at least this share of the pairs; where none does, the pairs are.
COMMON = 1 / 3
# Scores are held against those of the other latents where there are so many.
ENOUGH = 4


@dataclass(frozen=True)
class Name:
    """A judge's name for a latent.

    Attributes
    ----------
    latent
        Its number.
    name
        Its name; None where the judge has none.
    sign
        1 where its direction makes the change as the candidates have it, −1 where it undoes it.
    confidence
        How sure the judge is, from 0 to 1; not calibrated. None where it does not say.
    answer
        What it said.
    """

    latent: int
    name: str | None
    sign: float
    confidence: float | None
    answer: Answer

    def if_at_least(self, least: float) -> "Name":
        """Return this name, or one without a name and a sign where its confidence is below `least`."""
        if self.confidence is None or self.confidence >= least:
            return self
        return replace(self, name=None, sign=1.0)


def name_latents(
    descriptions: Sequence[LatentDescription], judge: Judge, candidates: Candidates | None = None
) -> list[Name]:
    """Have a judge name latents from their descriptions.

    Parameters
    ----------
    descriptions
        As `describe_latents` gives them.
    judge
        Who is asked. A `LocalJudge` and a `LexicalJudge` are shown the words that change most often in the strongest
        pairs; one that reads whole questions is shown the pairs, promoted tokens and steered texts too.
    candidates
        The names to choose among, with or without what changes into what, as in ``{"tense": ("present", "past")}``; by
        default some forty common concepts. None to choose among, ``[]``, lets the judge find its own words.

    Notes
    -----
    A judge that weighs options leans towards some whatever it sees. With several latents that leaning shows, as each
    option's mean score over them, and is taken off. The confidence is the softmax of what is left.
    """
    told = _told(candidates)
    by_option = {_option(name, change): name for name, change in told.items()}
    seen = [_seen(each) for each in descriptions]
    answers = judge.answer([_question(*each, tuple(by_option)) for each in zip(descriptions, seen, strict=True)])
    chosen = _weighed(answers, list(by_option))
    names = [by_option.get(option, option) if option else None for option, _ in chosen]
    signs = _signs(judge, [told.get(name or "", ("", "")) for name in names], seen)
    return [
        Name(each.latent, name, sign, confidence, answer)
        for each, name, sign, (_, confidence), answer in zip(descriptions, names, signs, chosen, answers, strict=True)
    ]


def changed_words(description: LatentDescription) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Count the words that the strongest pairs lose, and those they gain, most frequent first.

    Negative pairs count the other way round. Words of other concepts, which change without regard to this one, go either
    way: those are left out that a coin could have sent one way as often (by 2.5 standard deviations).
    """
    net: Counter[str] = Counter()
    gross: Counter[str] = Counter()
    for pairs, sign in ((description.positive, 1), (description.negative, -1)):
        for pair in pairs:
            lost, gained = (set(words_of(side.casefold())) for side in _differing(pair))
            net.update(dict.fromkeys(gained - lost, sign))
            net.update(dict.fromkeys(lost - gained, -sign))
            gross.update(gained ^ lost)
    clear = [(word, count) for word, count in net.items() if abs(count) >= CLEAR * gross[word] ** 0.5]
    # Words of one count by the alphabet: a set has no order to go by.
    clear.sort(key=lambda each: (-abs(each[1]), each[0]))
    lost = [(word, -count) for word, count in clear if count < 0]
    return lost, [(word, count) for word, count in clear if count > 0]


def common_concepts() -> dict[str, tuple[str, str]]:
    """Return the names that latents get by default, each with what changes into what."""
    return dict(_common())


@cache
def _common() -> dict[str, tuple[str, str]]:
    import yaml

    listed = yaml.safe_load(files("ssae_lens.latents").joinpath("common_concepts.yaml").read_text(encoding="utf-8"))
    return {name: (before, after) for name, (before, after) in listed.items()}


def _told(candidates: Candidates | None) -> dict[str, tuple[str, str]]:
    if candidates is None:
        return common_concepts()
    if isinstance(candidates, Mapping):
        return {name: (str(before), str(after)) for name, (before, after) in candidates.items()}
    return dict.fromkeys(candidates, ("", ""))


def _option(name: str, change: tuple[str, str]) -> str:
    plain = name.replace("_", " ")
    return f"{plain} ({change[0]} to {change[1]})" if any(change) else plain


def _weighed(answers: Sequence[Answer], options: Sequence[str]) -> list[tuple[str | None, float | None]]:
    """Return each latent's option, and how sure that is."""
    if not options or not all(each.scores.keys() == set(options) for each in answers):
        return [(each.text, None) for each in answers]
    scores = np.array([[each.scores[option] for option in options] for each in answers])
    if len(scores) >= ENOUGH:
        scores = scores - scores.mean(axis=0)
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return [
        (None, None) if answer.text is None else (options[int(row.argmax())], float(row.max()))
        for answer, row in zip(answers, chances, strict=True)
    ]


def _signs(judge: Judge, changes: Sequence[tuple[str, str]], seen: Sequence[str]) -> list[float]:
    """Ask which way each latent goes; 1 where the judge cannot say, or the name has no ways."""
    signs = [1.0] * len(changes)
    questions = {
        place: Question(
            prompt("way", words=seen[place]),
            (f"{before} to {after}", f"{after} to {before}"),
            prompt("way_stem"),
            seen[place],
        )
        for place, (before, after) in enumerate(changes)
        if before or after
    }
    answers = judge.answer(list(questions.values())) if questions else []
    for (place, question), answer in zip(questions.items(), answers, strict=True):
        signs[place] = -1.0 if answer.text == question.options[1] else 1.0
    return signs


def _seen(description: LatentDescription) -> str:
    """Say what changes: the words that most pairs have in common or, where they have none, the pairs."""
    lost, gained = changed_words(description)
    pairs = len(description.positive) + len(description.negative)
    if max((count for _, count in lost + gained), default=0) >= COMMON * pairs > 0:
        return _arrow(*([word for word, _ in side[:SHOWN_WORDS]] for side in (lost, gained)))
    sides = [_differing(each) for each in description.positive[:SHOWN_PAIRS]]
    sides += [_differing(each)[::-1] for each in description.negative[:SHOWN_PAIRS]]
    return ", ".join(_arrow([lost] * bool(lost), [gained] * bool(gained)) for lost, gained in sides)


def _question(description: LatentDescription, seen: str, options: tuple[str, ...]) -> Question:
    """Put the question both ways: whole, and as what was seen."""
    return Question(
        prompt(
            "name" if options else "name_open",
            words=seen,
            positive=_listed(description.positive),
            negative=_listed(description.negative),
            promoted=", ".join(repr(token) for token, _ in description.promoted) or "-",
            suppressed=", ".join(repr(token) for token, _ in description.suppressed) or "-",
            steered="\n".join(f"{each.scale:+g}: {each.prompt} … {each.text}" for each in description.steered) or "-",
        ),
        options,
        prompt("name_stem"),
        seen,
    )


def _differing(pair: ShownPair) -> tuple[str, str]:
    """Return what each text has and the other has not."""
    source = " ".join(pair.source[start:end] for start, end in pair.source_spans)
    return source, " ".join(pair.target[start:end] for start, end in pair.target_spans)


def _arrow(lost: Sequence[str], gained: Sequence[str]) -> str:
    return f"{', '.join(lost) or 'nothing'} → {', '.join(gained) or 'nothing'}"


def _listed(pairs: Sequence[ShownPair]) -> str:
    return "\n".join(f"{each.source}\n  becomes {each.target}" for each in pairs[:SHOWN_PAIRS]) or "-"
