"""`EndpointJudge`: a language model behind an OpenAI-compatible endpoint.

Each answer is cached on disk under the hash of its request, so that no question is paid for twice and an interrupted call
loses nothing. Failures of the endpoint are counted and do not stop the call.
"""

import json
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.files import cache_folder
from ssae_lens.base.progress_bars import progress
from ssae_lens.latents.judges.answers import MIN_SECRET_LENGTH, AnswerFolder, Scrubber, Tally
from ssae_lens.latents.judges.questions import Answer, Question, option_in, prompt
from ssae_lens.latents.judges.transport import DEFAULT_URL, Endpoint, Reply

# After this many failed questions in a row the remaining ones are skipped.
MAX_FAILURES = 3
MAX_WAIT = 60.0


class EndpointJudge:
    """A judge behind an OpenAI-compatible endpoint.

    The endpoint is not trusted: a question ends at its deadline, at most 2 MiB of a response are read, redirects are not
    followed, and a key or password that the server quotes is removed from its response.

    Parameters
    ----------
    model
        The model's name at the endpoint.
    base_url
        The endpoint, such as ``http://localhost:8000/v1``; by default ``$OPENAI_BASE_URL``, or OpenAI's own.
    key_variable
        The environment variable that holds the key. The key is never written to disk.
    options
        Further fields of each request, such as ``{"max_tokens": 16}``; the temperature is 0 by default. ``extra_headers``,
        ``extra_query`` and ``extra_body`` are sent as headers, in the URL's query and in the body.
    prices
        Prices of a million input and a million output tokens, to count the cost.
    per_minute
        Maximum number of requests a minute.
    workers
        Number of concurrent requests.
    timeout
        Seconds for one request, from the connection to the last byte of the response.
    deadline
        Seconds for one question, with all attempts and the waits between them.
    retries
        Number of further attempts, after 1, 2, 4, … seconds or as the endpoint asks, at most a minute.
    cache
        The folder of answers; by default one in the user's cache. None disables it. Its mode is set to 0700.
    wait
        The function that waits for a number of seconds.
    quiet
        Show no progress.

    Attributes
    ----------
    tally
        Counts of all questions so far.
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
        deadline: float = 300.0,
        retries: int = 4,
        cache: str | Path | None = "",
        wait: Callable[[float], object] = time.sleep,
        quiet: bool = False,
    ) -> None:
        checks.integer("workers", workers)
        checks.integer("retries", retries, minimum=0)
        checks.above("timeout", timeout, 0)
        checks.above("deadline", deadline, 0)
        if per_minute is not None:
            checks.above("per_minute", per_minute, 0)
        self.name = model
        self.tally = Tally()
        self._options = _checked_options(options or {})
        self._prices = prices or (0.0, 0.0)
        self._workers, self._retries, self._wait, self._quiet = workers, retries, wait, quiet
        self._timeout, self._deadline = timeout, deadline
        self._answers = None if cache is None else AnswerFolder(cache or cache_folder() / "judge")
        self._pace = _Pace(per_minute, wait)
        self._failures = 0
        key = os.environ.get(key_variable, "")
        if not key and base_url is None:
            raise ValueError(
                f"There is no key in ${key_variable}; set it, or give the base_url of an endpoint without one."
            )
        self._client = Endpoint(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL, key)
        # Headers may hold keys; a shorter value may be an ordinary word of an answer.
        headers = self._options.get("extra_headers", {}).values()
        self._scrubber = Scrubber([*self._client.secrets, *(v for v in headers if len(v) >= MIN_SECRET_LENGTH)])

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions concurrently; equal questions are asked once.

        Warns
        -----
        UserWarning
            If questions have no answer: how many, and why.
        """
        failed_before, self._failures = self.tally.failed, 0
        answers: dict[Question, Answer] = {}
        with progress(total=len(set(questions)), unit=" questions", desc=self.name, quiet=self._quiet) as bar:
            pool = ThreadPoolExecutor(self._workers, thread_name_prefix="judge")
            try:
                futures = {pool.submit(self._one, question): question for question in dict.fromkeys(questions)}
                for future in as_completed(futures):
                    answers[futures[future]], outcome = future.result()
                    self.tally.add(outcome)
                    bar.set_postfix_str(str(self.tally))
                    bar.update()
            finally:
                pool.shutdown(cancel_futures=True)
        if missing := self.tally.failed - failed_before:
            reason = next(answer.problem for answer in answers.values() if answer.problem)
            warnings.warn(
                f"{missing} of {len(answers)} questions to {self.name} have no answer ({reason}). Repeat the call to ask "
                "them again.",
                stacklevel=2,
            )
        return [answers[question] for question in questions]

    def _one(self, question: Question) -> tuple[Answer, Tally]:
        request = self._request(question)
        if self._answers is not None and (cached := self._answers.get(request)) is not None:
            return _read(question, self._scrubber.scrub(cached), Tally(cached=1))
        if self._failures >= MAX_FAILURES:
            return Answer(None, problem="skipped, since the endpoint kept failing"), Tally(not_asked=1)
        text, outcome, problem = self._ask(request)
        if text is None:
            self._failures += 1
            return Answer(None, problem=problem), outcome
        self._failures = 0
        answer, outcome = _read(question, text, outcome)
        if self._answers is not None and answer.text is not None:
            self._answers.put(request, text)
        return answer, outcome

    def _ask(self, request: Mapping[str, Any]) -> tuple[str | None, Tally, str]:
        """Send a request until it succeeds, attempts run out or the deadline passes; return the text, or the problem."""
        problem, kind, spent, attempt = "", "", 0.0, 0
        body = {"model": request["model"], "messages": request["messages"], **self._options}
        for attempt in range(self._retries + 1):
            self._pace()
            pause = min(2.0**attempt, MAX_WAIT)
            began = time.monotonic()
            try:
                reply = self._client.post("chat/completions", body, min(self._timeout, self._deadline - spent))
            except OSError as error:
                problem, kind = self._scrubber.line(str(error) or type(error).__name__), "unreachable"
            except ValueError as error:
                problem, kind = f"the response is not a chat completion: {self._scrubber.line(str(error))}", "nonsense"
            else:
                text, problem, kind = self._text_of(reply)
                if text is not None:
                    return text, self._usage(reply, attempt), ""
                pause = _retry_after(reply, pause)
            if kind == "refused":
                break
            spent += time.monotonic() - began + pause
            if spent >= self._deadline:
                break
            if attempt < self._retries:
                self._wait(pause)
        return None, Tally(**{kind: 1}, retries=attempt), problem

    def _text_of(self, reply: Reply) -> tuple[str | None, str, str]:
        """Return the text of a response; if there is none, None, the problem and its kind in the tally."""
        if 200 <= reply.status < 300:
            try:
                text = reply.json()["choices"][0]["message"]["content"].strip()
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                why = self._scrubber.line(str(error) or type(error).__name__)
                return None, f"the response is not a chat completion: {why}", "nonsense"
            return self._scrubber.scrub(text), "", ""
        if 300 <= reply.status < 400:
            location = self._scrubber.line(reply.headers.get("location", "elsewhere"))
            return (
                None,
                f"the endpoint redirects to {location}, which is not followed; give that as base_url if it is right",
                "refused",
            )
        temporary = reply.status in (408, 409, 429) or reply.status >= 500
        problem = self._scrubber.line(f"status {reply.status}: {_message(reply)}")
        return None, problem, "unreachable" if temporary else "refused"

    def _request(self, question: Question) -> dict[str, Any]:
        """Return everything that determines an answer; its hash names the cached file."""
        system = prompt("endpoint_open")
        if question.options:
            system = prompt("endpoint_options", options="\n".join(f"- {option}" for option in question.options))
        texts = (("system", system), ("user", question.prompt))
        request = {
            "endpoint": self._client.name,
            "model": self.name,
            "messages": [{"role": role, "content": text} for role, text in texts],
            # Headers may hold keys.
            "options": {name: value for name, value in self._options.items() if name != "extra_headers"},
        }
        # Unpaired surrogates cannot be encoded in a file.
        return json.loads(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))

    def _usage(self, reply: Reply, retries: int) -> Tally:
        usage = reply.json().get("usage")
        n_input, n_output = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
        cost = (n_input * self._prices[0] + n_output * self._prices[1]) / 1e6
        return Tally(answered=1, retries=retries, input_tokens=n_input, output_tokens=n_output, cost=cost)


class _Pace:
    """Delay calls so that at most a given number start each minute."""

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


def _checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    if "stream" in options:
        raise ValueError("options has 'stream', which is not supported; leave it out.")
    for name in ("extra_headers", "extra_query", "extra_body"):
        if (kind := type(options.get(name) or {})) is not dict:
            raise ValueError(f"options['{name}'] is a {kind.__name__}; it must be a dictionary.")
    headers = {str(name): str(value) for name, value in (options.get("extra_headers") or {}).items()}
    try:
        # As decoded JSON, so that cached requests compare equal.
        plain = json.loads(json.dumps({name: value for name, value in options.items() if name != "extra_headers"}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"options cannot be sent as JSON ({error}); give plain values.") from None
    return {"temperature": 0, **plain, **({"extra_headers": headers} if headers else {})}


def _read(question: Question, response: str, outcome: Tally) -> tuple[Answer, Tally]:
    """Return the answer in a response; with options, the response must name one of them."""
    text = option_in(response, question.options) if question.options else response or None
    if text is None:
        outcome.answered, outcome.nonsense = 0, 1
        return Answer(None, problem=f"it names none of the options: {response[:80]!r}", response=response), outcome
    return Answer(text, response=response), outcome


def _message(reply: Reply) -> str:
    """Return the message in the body of an error."""
    try:
        error = reply.json().get("error")
    except (ValueError, AttributeError):
        return reply.text
    return str(error.get("message") if isinstance(error, dict) else error or "no reason stated")


def _count(usage: Any, name: str) -> int:
    """Return a number of tokens, or 0 if the endpoint reports anything else."""
    value = usage.get(name) if isinstance(usage, dict) else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0


def _retry_after(reply: Reply, pause: float) -> float:
    """Return the seconds to wait before the next attempt, within bounds."""
    try:
        seconds = float(reply.headers.get("retry-after", 0))
    except ValueError:  # a date
        return pause
    return min(max(pause, seconds), MAX_WAIT) if math.isfinite(seconds) else pause
