"""What an endpoint said, on its way to results and to disk: without secrets, and for its asker alone."""

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ssae_lens.base.files import fingerprint
from ssae_lens.base.reading import read_json

OWNER_ONLY = 0o700
MAX_KEPT_BYTES = 16 << 20
# A secret shorter than this is looked for as a word of its own only: it may well be a part of others.
SHORT = 8
HIDDEN = "…"


class Scrubber:
    """Takes secrets out of texts: a server may quote the key or the password that it was sent.

    Examples
    --------
    >>> Scrubber(["sk-0123456789"]).scrub("Incorrect key: sk-0123456789")
    'Incorrect key: …'
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # The longest first, of two that begin alike.
        patterns = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]
        self._secrets = re.compile("|".join(patterns)) if patterns else None

    def scrub(self, text: str) -> str:
        """Return a text without the secrets; what is no character (half of a surrogate pair) becomes a question mark."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        return text if self._secrets is None else self._secrets.sub(HIDDEN, text)

    def line(self, text: str, longest: int = 200) -> str:
        """Return a text without the secrets as one short printable line."""
        shown = "".join(each if each.isprintable() else " " for each in self.scrub(text))
        return " ".join(shown.split())[:longest]


class AnswerFolder:
    """Answers on disk, each under the hash of its request, in a folder that its owner alone may read.

    Parameters
    ----------
    path
        The folder. Its mode is set to 0700 and its files' to 0600: prompts and answers may be private.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def get(self, request: Mapping[str, Any]) -> str | None:
        """Return what was said to a request, or None where nothing usable is kept."""
        try:
            kept = read_json(self._file(request), max_bytes=MAX_KEPT_BYTES)
        except (OSError, ValueError):
            return None
        right = isinstance(kept, dict) and kept.get("request") == request and isinstance(kept.get("said"), str)
        return kept["said"] if right else None

    def put(self, request: Mapping[str, Any], said: str) -> None:
        """Keep what was said to a request."""
        self.path.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        with suppress(PermissionError):  # another's folder
            self.path.chmod(OWNER_ONLY)
        # mkstemp makes files that their owner alone can read, and they keep that mode.
        handle, name = tempfile.mkstemp(prefix=".answer-", dir=self.path)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"request": request, "said": said}, file, indent=2, ensure_ascii=False)
            Path(name).replace(self._file(request))
        finally:
            Path(name).unlink(missing_ok=True)

    def _file(self, request: Mapping[str, Any]) -> Path:
        return self.path / f"{fingerprint([request])}.json"


def _forms(secret: str) -> set[str]:
    """Return the forms in which a server may quote a secret: as it is, in a URL, and in base 64."""
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


def _pattern(secret: str) -> str:
    exact = re.escape(secret)
    return exact if len(secret) >= SHORT else rf"(?<!\w){exact}(?!\w)"
