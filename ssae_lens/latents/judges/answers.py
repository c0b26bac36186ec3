"""Answers of an endpoint: counted, cleared of secrets, and cached in files that only their owner can read."""

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ssae_lens.base.checksums import fingerprint
from ssae_lens.base.reading import read_json

OWNER_ONLY = 0o700
MAX_FILE_BYTES = 16 << 20
# A shorter secret is removed only as a whole word, since it may be part of other words.
MIN_SECRET_LENGTH = 8
HIDDEN = "…"


@dataclass
class Tally:
    """Counts of questions by outcome, with tokens and cost.

    Attributes
    ----------
    answered, cached
        Answered by the endpoint; answered from disk.
    nonsense
        The response named none of the options, or was no model's response.
    unreachable
        No response after all attempts: no connection, a timeout, a busy server or a server error.
    refused
        Rejected by the endpoint: the key, the model's name or the request.
    not_asked
        Skipped because the endpoint kept failing.
    retries
        Attempts beyond the first.
    input_tokens, output_tokens
        As reported by the endpoint.
    cost
        In the currency of the prices; 0 without prices.
    """

    answered: int = 0
    cached: int = 0
    nonsense: int = 0
    unreachable: int = 0
    refused: int = 0
    not_asked: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def failed(self) -> int:
        """The number of questions without an answer."""
        return self.nonsense + self.unreachable + self.refused + self.not_asked

    def __str__(self) -> str:
        parts = [
            f"{value} {name.replace('_', ' ')}" for name, value in asdict(self).items() if value and name != "cost"
        ]
        return ", ".join(parts + ([f"cost {self.cost:.4g}"] if self.cost else [])) or "no questions"

    def add(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class Scrubber:
    """Remove secrets from texts, since a server may quote the key or the password it was sent.

    Examples
    --------
    >>> Scrubber(["sk-0123456789"]).scrub("Incorrect key: sk-0123456789")
    'Incorrect key: …'
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # Longer forms first, since one may begin with another.
        patterns = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]
        self._secrets = re.compile("|".join(patterns)) if patterns else None

    def scrub(self, text: str) -> str:
        """Return a text without the secrets; unpaired surrogates become question marks."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        return text if self._secrets is None else self._secrets.sub(HIDDEN, text)

    def line(self, text: str, max_length: int = 200) -> str:
        """Return a text without the secrets as one short printable line."""
        printable = "".join(character if character.isprintable() else " " for character in self.scrub(text))
        return " ".join(printable.split())[:max_length]


class AnswerFolder:
    """A cache of responses by the hash of their request, in a folder that only its owner can read.

    Parameters
    ----------
    path
        The folder. Its mode is set to 0700 and its files' to 0600: prompts and answers may be private.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def get(self, request: Mapping[str, Any]) -> str | None:
        """Return the cached response to a request, or None."""
        try:
            content = read_json(self._file(request), max_bytes=MAX_FILE_BYTES)
        except (OSError, ValueError):
            return None
        matches = isinstance(content, dict) and content.get("request") == request
        return content["said"] if matches and isinstance(content.get("said"), str) else None

    def put(self, request: Mapping[str, Any], response: str) -> None:
        """Cache the response to a request."""
        self.path.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        with suppress(PermissionError):  # a folder of another user
            self.path.chmod(OWNER_ONLY)
        # Files of mkstemp have mode 0600 and keep it.
        handle, name = tempfile.mkstemp(prefix=".answer-", dir=self.path)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"request": request, "said": response}, file, indent=2, ensure_ascii=False)
            Path(name).replace(self._file(request))
        finally:
            Path(name).unlink(missing_ok=True)

    def _file(self, request: Mapping[str, Any]) -> Path:
        return self.path / f"{fingerprint([request])}.json"


def _forms(secret: str) -> set[str]:
    """Return the forms in which a server may quote a secret: plain, URL-encoded and in base 64."""
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


def _pattern(secret: str) -> str:
    exact = re.escape(secret)
    return exact if len(secret) >= MIN_SECRET_LENGTH else rf"(?<!\w){exact}(?!\w)"
