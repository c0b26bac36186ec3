"""Judges: what answers questions about texts, to name latents and to score what a model wrote."""

from ssae_lens.evals.judges.endpoint import EndpointJudge
from ssae_lens.evals.judges.lexical import LexicalJudge
from ssae_lens.evals.judges.local import LocalJudge
from ssae_lens.evals.judges.questions import Answer, Judge, Question
from ssae_lens.evals.judges.tally import Tally

__all__ = ["Answer", "EndpointJudge", "Judge", "LexicalJudge", "LocalJudge", "Question", "Tally"]
