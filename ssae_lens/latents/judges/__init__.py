"""Judges: what answers questions about texts, to name latents and to score what a model wrote."""

from ssae_lens.latents.judges.endpoint import EndpointJudge
from ssae_lens.latents.judges.lexical import LexicalJudge
from ssae_lens.latents.judges.local import LocalJudge
from ssae_lens.latents.judges.questions import Answer, Judge, Question
from ssae_lens.latents.judges.tally import Tally

__all__ = ["Answer", "EndpointJudge", "Judge", "LexicalJudge", "LocalJudge", "Question", "Tally"]
