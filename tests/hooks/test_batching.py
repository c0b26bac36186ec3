import numpy as np
import pytest
import torch

from ssae_lens.hooks import tokens
from ssae_lens.hooks.capture_job import BatchPlan
from ssae_lens.hooks.spans import Spans
from ssae_lens.hooks.tokens import TokenizedTexts, batch_by_length
from ssae_lens.models import tiny_model
from ssae_lens.pairs import load_pairs


@pytest.fixture
def lengths():
    return np.random.default_rng(0).integers(1, 40, size=500)


@pytest.mark.parametrize("window", [16, 100, 1000])
@pytest.mark.parametrize("budget", [1, 39, 200, 10**6])
def test_batches_hold_every_text_once_within_the_budget(lengths, budget, window, monkeypatch):
    monkeypatch.setattr(tokens, "SORT_WINDOW", window)
    found = batch_by_length(lengths, budget)
    assert sorted(np.concatenate(found)) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
        # Rows of neighbouring pairs are found in neighbouring batches.
        assert batch.max() // window == batch.min() // window


def test_batches_are_of_similar_lengths_the_longest_first(lengths):
    found = batch_by_length(lengths, 200)
    longest = [lengths[batch].max() for batch in found]
    assert longest == sorted(longest, reverse=True)
    padding = sum(len(batch) * lengths[batch].max() for batch in found) / lengths.sum() - 1
    assert padding < 0.03


@pytest.mark.parametrize("position", ["last", "mean", "changed", "1:"])
def test_means_are_those_of_the_spans(position):
    texts = TokenizedTexts.of(tiny_model(), load_pairs("gender", n=20))
    spans = Spans.of(texts, position)
    plan = BatchPlan.of(texts, spans, 64)
    assert len(plan.batches) > 3
    for number, batch in enumerate(plan.batches):
        tokens = plan.tokens(number)
        # Activations that say which text and which token they are of; what is padded would spoil every mean.
        values = torch.full((*tokens.shape, 2), torch.nan, dtype=torch.float32)
        for row, text in enumerate(batch):
            values[row, : texts.lengths[text], 0] = float(text)
            values[row, : texts.lengths[text], 1] = torch.arange(texts.lengths[text], dtype=torch.float32)
            assert tokens[row, : texts.lengths[text]].tolist() == texts[text].tolist()
        means = plan.means(number, values)
        for place, span in enumerate(plan.spans_of(number)):
            assert (plan.batch[span], plan.row[span]) == (number, place)
            middle = (spans.start[span] + spans.stop[span] - 1) / 2
            torch.testing.assert_close(means[place], torch.tensor([float(spans.text[span]), float(middle)]))
