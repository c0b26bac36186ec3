"""The study of a language model, where labels say what changes: which concepts the SSAE and other methods recover.

`run` does what ``python -m studies language`` does; `study` takes corpora, models and rows of your own.
"""

from studies.language.grid import CORPORA, STUDIES, LanguageRow, study_rows
from studies.language.methods import METHODS
from studies.language.result import PUBLISHED, LanguageResult
from studies.language.runner import run, study

__all__ = ["CORPORA", "METHODS", "PUBLISHED", "STUDIES", "LanguageResult", "LanguageRow", "run", "study", "study_rows"]
