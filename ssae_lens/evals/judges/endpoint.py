"""`EndpointJudge`: a language model behind any OpenAI-compatible endpoint, asked through the official client.

Each answer is kept on disk under the hash of its question as soon as it is there, so that nothing is paid for twice and
nothing is lost. An endpoint that is down, slow or answers nonsense does not stop the work: what failed is counted.
"""

import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.files import cache_folder, fingerprint, write_json
from ssae_lens.base.progress import progress
from ssae_lens.evals.judges.prompts import prompt
from ssae_lens.evals.judges.questions import Answer, Question, option_in
from ssae_lens.evals.judges.tally import Tally

# After so many questions in a row that nothing came of, the rest are not asked.
GIVE_UP = 3
LONGEST_WAIT = 60.0


class EndpointJudge:
    """A judge behind an OpenAI-compatible endpoint.

    Parameters
    ----------
    model
        The model's name there.
    base_url
        The endpoint, such as ``http://localhost:8000/v1``; by default that of the client, OpenAI's own.
    key_variable
        The environment variable that holds the key. It is read when it is needed and written nowhere.
    options
        What else each request says, such as ``{"max_tokens": 16}``; the temperature is 0 unless they say otherwise.
    prices
        For a million tokens read, and a million written, to count the cost.
    per_minute
        The most requests in a minute.
    workers
        How many requests may be under way at once.
    timeout
        Seconds to wait for an answer.
    retries
        How often to try again, after 1, 2, 4, … seconds or as long as the endpoint asks for, at most a minute.
    cache
        The folder of answers; by default one in the user's cache. None keeps none.
    wait
        How to wait for some seconds.
    quiet
        Show no progress.

    Attributes
    ----------
    tally
        What became of all questions so far.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        key_variable: str = "OPENAI_API_KEY",
        options: Mapping[str, Any] | None = None,
        prices: tuple[float, float] | None = None,
        per_minute: float | None = None,
        workers: int = 4,
        timeout: float = 60.0,
        retries: int = 4,
        cache: str | Path | None = "",
        wait: Callable[[float], object] = time.sleep,
        quiet: bool = False,
    ) -> None:
        checks.whole("workers", workers)
        checks.whole("retries", retries, least=0)
        checks.above("timeout", timeout, 0)
        if per_minute is not None:
            checks.above("per_minute", per_minute, 0)
        self.name = model
        self.tally = Tally()
        self._options = {"temperature": 0, **(options or {})}
        self._prices = prices or (0.0, 0.0)
        self._workers, self._retries, self._wait, self._quiet = workers, retries, wait, quiet
        self._folder = None if cache is None else Path(cache or cache_folder() / "judge")
        self._pace = _Pace(per_minute, wait)
        self._in_vain = 0
        self._key = os.environ.get(key_variable, "")
        if not self._key and base_url is None:
            raise ValueError(
                f"There is no key in ${key_variable}; set it, or give the base_url of an endpoint without one."
            )
        self._client: Any = _client(base_url, self._key, timeout)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions, several at once; equal ones are asked once.

        Warns
        -----
        UserWarning
            Where questions have no answer: how many, and why.
        """
        before, self._in_vain = self.tally.failed, 0
        found: dict[Question, Answer] = {}
        with progress(total=len(set(questions)), unit=" questions", about=self.name, quiet=self._quiet) as bar:
            pool = ThreadPoolExecutor(self._workers, thread_name_prefix="judge")
            try:
                asked = {pool.submit(self._one, each): each for each in dict.fromkeys(questions)}
                for done in as_completed(asked):
                    found[asked[done]], became = done.result()
                    self.tally.add(became)
                    bar.set_postfix_str(str(self.tally))
                    bar.update()
            finally:
                pool.shutdown(cancel_futures=True)
        if missing := self.tally.failed - before:
            reason = next(each.problem for each in found.values() if each.problem)
            warnings.warn(
                f"{missing} of {len(found)} questions to {self.name} have no answer ({reason}); the same "
                "call asks for these again.",
                stacklevel=2,
            )
        return [found[each] for each in questions]

    def _one(self, question: Question) -> tuple[Answer, Tally]:
        request = self._request(question)
        if (kept := self._kept(request)) is not None:
            return _read(question, kept, Tally(cached=1))
        if self._in_vain >= GIVE_UP:
            return Answer(None, problem="not asked: the endpoint had been given up"), Tally(not_asked=1)
        said, became, problem = self._ask(request)
        if said is None:
            self._in_vain += 1
            return Answer(None, problem=problem), became
        self._in_vain = 0
        answer, became = _read(question, said, became)
        if self._folder is not None and answer.text is not None:
            write_json(self._folder / _file(request), {"request": request, "said": said})
        return answer, became

    def _ask(self, request: Mapping[str, Any]) -> tuple[str | None, Tally, str]:
        """Ask until there is an answer or all tries are used up; give what was said, or why nothing was."""
        from openai import APIConnectionError, APIResponseValidationError, APIStatusError, OpenAIError

        problem, kind = "", ""
        for tries in range(self._retries + 1):
            self._pace()
            pause = min(2.0**tries, LONGEST_WAIT)
            try:
                reply = self._client.chat.completions.create(
                    model=request["model"], messages=request["messages"], **request["options"]
                )
                said = reply.choices[0].message.content.strip()
                return said, self._spent(reply, tries), ""
            except APIStatusError as error:
                problem, kind = self._line(error), "unreachable"
                if error.status_code not in (408, 409, 429) and error.status_code < 500:
                    return None, Tally(refused=1, retries=tries), problem
                pause = _asked_for(error, pause)
            except APIConnectionError as error:
                problem, kind = self._line(error), "unreachable"
            except (APIResponseValidationError, AttributeError, IndexError, TypeError, ValueError) as error:
                problem, kind = f"the reply is none of a model's: {self._line(error)}", "nonsense"
            except OpenAIError as error:
                return None, Tally(refused=1, retries=tries), self._line(error)
            if tries < self._retries:
                self._wait(pause)
        return None, Tally(**{kind: 1}, retries=self._retries), problem

    def _request(self, question: Question) -> dict[str, Any]:
        """Give all that shapes an answer, and so is its name on disk."""
        system = prompt("endpoint_open")
        if question.options:
            system = prompt("endpoint_options", options="\n".join(f"- {each}" for each in question.options))
        url = self._client.base_url
        return {
            "endpoint": url.netloc.decode() + url.path,  # without a password, which a URL may hold
            "model": self.name,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": question.prompt}],
            "options": self._options,
        }

    def _kept(self, request: Mapping[str, Any]) -> str | None:
        """Read an answer that was got before; one that cannot be read is asked for again."""
        if self._folder is None:
            return None
        try:
            kept = json.loads((self._folder / _file(request)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        right = isinstance(kept, dict) and kept.get("request") == request and isinstance(kept.get("said"), str)
        return kept["said"] if right else None

    def _spent(self, reply: Any, retries: int) -> Tally:
        usage = getattr(reply, "usage", None)
        read, written = (getattr(usage, name, 0) or 0 for name in ("prompt_tokens", "completion_tokens"))
        cost = (read * self._prices[0] + written * self._prices[1]) / 1e6
        return Tally(answered=1, retries=retries, input_tokens=read, output_tokens=written, cost=cost)

    def _line(self, error: Exception) -> str:
        """Give an error in one line, without the key, of which endpoints like to quote a part."""
        said = " ".join(str(error).split())[:200] or type(error).__name__
        return said.replace(self._key, "…") if self._key else said


class _Pace:
    """Lets through no more calls a minute than it was told to."""

    def __init__(self, per_minute: float | None, wait: Callable[[float], object]) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._wait = wait
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            pause = max(0.0, self._next - now)
            self._next = max(now, self._next) + self._gap
        if pause:
            self._wait(pause)


def _client(base_url: str | None, key: str, timeout: float) -> Any:
    try:
        from openai import OpenAI
    except ImportError:
        raise ImportError("EndpointJudge needs the openai package: pip install 'ssae-lens[judge]'.") from None
    # A local server wants no key, and the client wants one.
    return OpenAI(base_url=base_url, api_key=key or "none", timeout=timeout, max_retries=0)


def _read(question: Question, said: str, became: Tally) -> tuple[Answer, Tally]:
    """Read what was said; with options, one of them has to be in it."""
    text = option_in(said, question.options) if question.options else said or None
    if text is None:
        became.answered, became.nonsense = 0, 1
        return Answer(None, problem=f"it names none of the options: {said[:80]!r}", said=said), became
    return Answer(text, said=said), became


def _asked_for(error: Any, pause: float) -> float:
    """Give the seconds that an endpoint asks to be left alone for, within bounds."""
    try:
        return min(max(pause, float(error.response.headers.get("retry-after", 0))), LONGEST_WAIT)
    except ValueError:  # a date
        return pause


def _file(request: Mapping[str, Any]) -> str:
    return f"{fingerprint([request])}.json"
