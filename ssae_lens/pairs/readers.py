"""Readers of published formats: rows of TruthfulQA, behaviour questions or labelled sentences → rows of pairs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ssae_lens.base.checks import integer, one_of
from ssae_lens.pairs.schema import TEXTS, listed, require_column, require_texts
from ssae_lens.pairs.splits import SPLITS, sides_of

Rows = Sequence[Mapping[str, Any]]

BEHAVIOUR = ("question", "answer_matching_behavior", "answer_not_matching_behavior")
TRUTHFULQA = ("question", "best_answer", "incorrect_answers")
SENTENCE = ("sentence", "text")
KINDS = ("pairs", "truthfulqa", "ab", "labelled")
# A column of labelled sentences with more values than this is an identifier or a note, not an attribute.
MAX_VALUES = 20
# Pairs sampled at a time while searching for pairs that differ in a given number of attributes.
SAMPLE_SIZE = 1 << 16


def kind_of(columns: Iterable[str]) -> str:
    """Return the kind of a table with these columns, one of `KINDS`; "pairs" if it is no other."""
    names = {_plain(column) for column in columns}
    if names.issuperset(TEXTS):
        return "pairs"
    if names.issuperset(TRUTHFULQA):
        return "truthfulqa"
    if names.issuperset(BEHAVIOUR):
        return "ab"
    return "labelled" if names.intersection(SENTENCE) and len(names) > 1 and names.isdisjoint(TEXTS) else "pairs"


def question_and_answer(question: str, answer: str) -> str:
    """Return the text of a question with an answer."""
    return f"Q: {question}\nA: {answer}"


def truthfulqa_rows(records: Rows) -> list[dict[str, Any]]:
    """Pair each incorrect answer of TruthfulQA with the best one.

    The columns are `Question`, `Best Answer` and `Incorrect Answers` (separated by semicolons), as in TruthfulQA's CSV file,
    or `question`, `best_answer` and the list `incorrect_answers`, as on the Hub.
    """
    records = [{_plain(name): value for name, value in record.items()} for record in records]
    _require_columns(records, TRUTHFULQA, texts=TRUTHFULQA[:2])
    pairs = []
    for row, record in enumerate(records):
        question, right = record["question"].strip(), record["best_answer"].strip()
        wrong = record["incorrect_answers"]
        answers = [answer.strip() for answer in (wrong.split(";") if isinstance(wrong, str) else wrong or ())]
        answers = [answer for answer in dict.fromkeys(answers) if answer]
        if not answers:
            raise ValueError(f"incorrect_answers is empty in row {row}; give one, or drop the row.")
        pairs.extend(
            {
                "source": question_and_answer(question, answer),
                "target": question_and_answer(question, right),
                "changes": {"truth": 1},
                "content": question,
                "question": question,
                "right": right,
                "wrong": answer,
                "topic": str(record.get("category") or ""),
            }
            for answer in answers
        )
    return pairs


def behaviour_rows(records: Rows, concept: str = "behaviour") -> list[dict[str, Any]]:
    """Pair the answer to each question that does not match the behaviour `concept` with the answer that does.

    The columns are `question`, `answer_matching_behavior` and `answer_not_matching_behavior`: ``" (A)"`` and ``" (B)"``, or
    ``" Yes"`` and ``" No"``. They are kept, so that a capture can find the answer's letter.
    """
    _require_columns(records, BEHAVIOUR, texts=BEHAVIOUR)
    pairs = []
    for row, record in enumerate(records):
        question, matching, other = (record[name] for name in BEHAVIOUR)
        if matching.strip() == other.strip():
            raise ValueError(f"Both answers are {matching.strip()!r} in row {row}; they must differ.")
        pairs.append(
            {
                # Some files have the space before the answer and some do not; the texts are the same.
                "source": f"{question.rstrip()} {other.strip()}",
                "target": f"{question.rstrip()} {matching.strip()}",
                "changes": {concept: 1},
                "content": question,
                **{name: record[name] for name in BEHAVIOUR},
            }
        )
    return pairs


def labelled_rows(
    records: Rows, n: int | None = None, seed: int = 0, differing: int | None = None
) -> list[dict[str, Any]]:
    """Pair labelled sentences with each other.

    Parameters
    ----------
    records
        With `sentence` (or `text`) and attributes: the other columns that have two to twenty values.
    n
        Number of ordered pairs; by default as many as there are sentences, or fewer if `differing` leaves fewer.
    seed
        Selects the pairs.
    differing
        Number of attributes in which the sentences of a pair differ; by default any.

    Returns
    -------
    list of dict
        `changes` has one concept ``attribute=value`` for each value, −1 if only the source has it and 1 if only the target
        has it. An attribute of two values has one concept, for the second in alphabetical order.
    """
    text = _sentence_column(records)
    sentences = list({record[text]: record for record in records}.values())
    attributes = _attributes(sentences, text)
    if differing is not None:
        integer("differing", differing)
        one_of("differing", differing, range(1, len(attributes) + 1))
    codes = np.array(
        [[values.index(str(sentence[name])) for name, values in attributes.items()] for sentence in sentences]
    )
    has = {
        f"{name}={values[value]}": codes[:, column] == value
        for column, (name, values) in enumerate(attributes.items())
        for value in (range(len(values)) if len(values) > 2 else [1])
    }
    return [
        {
            "source": sentences[i][text],
            "target": sentences[j][text],
            "changes": {concept: int(mask[j]) - int(mask[i]) for concept, mask in has.items()},
        }
        for i, j in _sample_pairs(codes, n, seed, differing)
    ]


def labelled_sentences(records: Rows, split: str | None, test_fraction: float) -> Rows:
    """Return the labelled sentences of one split, or all."""
    if split is None:
        return records
    text = _sentence_column(records)
    sides = sides_of([(record[text],) for record in records], test_fraction)
    kept = [record for record, side in zip(records, sides, strict=True) if side == SPLITS.index(split)]
    if not kept:
        raise ValueError(f"No sentence is left for split {split!r}; give more sentences, or another test_fraction.")
    return kept


def _sentence_column(records: Rows) -> str:
    """Return the name of the column of sentences, and check the sentences."""
    text = "text" if "text" in records[0] and "sentence" not in records[0] else "sentence"
    require_column(text, records[0])
    require_texts(text, [record.get(text) for record in records])
    return text


def _attributes(sentences: Rows, text: str) -> dict[str, list[str]]:
    attributes = {}
    for name in dict.fromkeys(key for sentence in sentences for key in sentence if key != text):
        if missing := [row for row, sentence in enumerate(sentences) if sentence.get(name) in (None, "")]:
            raise ValueError(f"{name} is missing in row {missing[0]}; label every sentence, or drop the column.")
        values = {str(sentence[name]) for sentence in sentences}
        if 2 <= len(values) <= MAX_VALUES:
            attributes[name] = sorted(values)
    if not attributes:
        raise ValueError(
            f"No column of {listed(sentences[0])} is an attribute: each has one value, or more than {MAX_VALUES}."
        )
    return attributes


def _sample_pairs(
    codes: Int[np.ndarray, "sentences attributes"], n: int | None, seed: int, differing: int | None
) -> list[tuple[int, int]]:
    """Sample different ordered pairs of sentences until there are enough, or a sample has no new one."""
    rng = np.random.default_rng(seed)
    n_pairs = len(codes) if n is None else n
    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < n_pairs:
        before = len(pairs)
        i, j = rng.integers(len(codes), size=(2, max(SAMPLE_SIZE, 2 * n_pairs)))
        fits: Bool[np.ndarray, " draws"] = i != j
        if differing is not None:
            fits &= (codes[i] != codes[j]).sum(axis=1) == differing
        pairs.update(dict.fromkeys(zip(i[fits].tolist(), j[fits].tolist(), strict=True)))
        if len(pairs) == before:
            break
    if not pairs or (n is not None and len(pairs) < n):
        which = "pairs" if differing is None else f"pairs that differ in {differing} attributes"
        raise ValueError(
            f"n is {n_pairs}, but {len(codes)} sentences make {len(pairs)} {which}; ask for fewer, or give more sentences."
        )
    return list(pairs)[:n_pairs]


def _require_columns(records: Rows, names: Iterable[str], texts: Iterable[str]) -> None:
    columns = dict.fromkeys(key for record in records for key in record)
    for name in names:
        require_column(name, columns)
        if missing := [row for row, record in enumerate(records) if name not in record]:
            raise ValueError(f"{name} is missing in row {missing[0]}; give it, or drop the row.")
    for name in texts:
        require_texts(name, [record[name] for record in records])


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")
