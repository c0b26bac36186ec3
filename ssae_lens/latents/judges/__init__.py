"""Judges, which answer questions about texts, to name latents and to rate generated texts."""

from ssae_lens.latents.judges.answers import Tally
from ssae_lens.latents.judges.endpoint import EndpointJudge
from ssae_lens.latents.judges.lexical import LexicalJudge
from ssae_lens.latents.judges.local import LocalJudge
from ssae_lens.latents.judges.questions import Answer, Judge, Question

__all__ = ["Answer", "EndpointJudge", "Judge", "LexicalJudge", "LocalJudge", "Question", "Tally"]
