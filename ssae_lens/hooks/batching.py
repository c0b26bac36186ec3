"""`Plan`: which texts go through the model together, and where in what comes out each row is found.

It is made of the whole data set alone, so that every run of a capture has the same batches, whatever it still has to do.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.hooks.encoding import Texts
from ssae_lens.hooks.spans import Spans

# Lengths are sorted among this many texts at a time: enough that hardly any padding is left, and few enough that the rows
# of neighbouring pairs are found in neighbouring batches.
WINDOW = 1 << 14


def batches(lengths: Int[np.ndarray, " texts"], batch_tokens: int) -> list[Int[np.ndarray, " batch"]]:
    """Part texts into batches of at most `batch_tokens` tokens, padding included, or of one text.

    Texts of a batch are of similar length. The longest come first, so that memory that does not suffice is known at once.
    """
    found = []
    for begin in range(0, len(lengths), WINDOW):
        window = begin + np.argsort(-lengths[begin : begin + WINDOW], kind="stable")
        while len(window):
            size = max(1, batch_tokens // int(lengths[window[0]]))
            found.append(window[:size])
            window = window[size:]
    return found


@dataclass
class Plan:
    """The batches of a capture.

    Attributes
    ----------
    texts, spans
        What is run, and what of it is read.
    batches
        The numbers of each batch's texts.
    span_bounds
        Where among the spans those of the first and of every next text begin, and those of the last end.
    batch, place
        For each span, the batch that its text is in and its number among the batch's spans.
    """

    texts: Texts
    spans: Spans
    batches: list[Int[np.ndarray, " batch"]]
    span_bounds: Int[np.ndarray, " texts+1"]
    batch: Int[np.ndarray, " spans"]
    place: Int[np.ndarray, " spans"]

    @classmethod
    def of(cls, texts: Texts, spans: Spans, batch_tokens: int) -> "Plan":
        """Plan the capture of some spans of texts."""
        bounds = np.searchsorted(spans.text, np.arange(len(texts) + 1))
        batch, place = np.empty((2, len(spans)), dtype=np.int64)
        plan = cls(texts, spans, batches(texts.lengths, batch_tokens), bounds, batch, place)
        for number in range(len(plan.batches)):
            here = plan.spans_of(number)
            batch[here], place[here] = number, np.arange(len(here))
        return plan

    def spans_of(self, number: int) -> Int[np.ndarray, " some"]:
        """Return the numbers of a batch's spans, text after text."""
        batch = self.batches[number]
        bounds = zip(self.span_bounds[batch].tolist(), self.span_bounds[batch + 1].tolist(), strict=True)
        return np.concatenate([np.arange(start, stop) for start, stop in bounds])

    def tokens(self, number: int) -> Int[Tensor, "batch pos"]:
        """Return a batch's tokens, padded on the right.

        What they are padded with does not matter, as no token sees one to its right; 0 is a token of every model.
        """
        batch = self.batches[number]
        tokens = np.zeros((len(batch), self.texts.lengths[batch].max()), dtype=np.int64)
        for row, text in enumerate(batch.tolist()):
            tokens[row, : self.texts.lengths[text]] = self.texts[text]
        return torch.from_numpy(tokens)

    def means(self, number: int, values: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "some d_model"]:
        """Return the mean over each of a batch's spans of what passed at a hook."""
        here = self.spans_of(number)
        row = np.repeat(np.arange(len(self.batches[number])), np.diff(self.span_bounds)[self.batches[number]])
        counts = self.spans.stop[here] - self.spans.start[here]
        first = row * values.shape[1] + self.spans.start[here]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        tokens = torch.from_numpy(np.repeat(first, counts) + within).to(values.device)
        taken = values.flatten(0, 1).index_select(0, tokens).float()
        if (counts == 1).all():
            return taken
        return torch.segment_reduce(taken, "mean", lengths=torch.from_numpy(counts).to(values.device))
