"""`EndpointJudge`: a language model behind any OpenAI-compatible endpoint.

Each answer is kept on disk under the hash of its question as soon as it is there, so that nothing is paid for twice and
nothing is lost. An endpoint that is down, slow or answers nonsense does not stop the work: what failed is counted.
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
from ssae_lens.base.progress import progress
from ssae_lens.latents.judges.answers import SHORT, AnswerFolder, Scrubber
from ssae_lens.latents.judges.prompts import prompt
from ssae_lens.latents.judges.questions import Answer, Question, option_in
from ssae_lens.latents.judges.tally import Tally
from ssae_lens.latents.judges.transport import DEFAULT_URL, Endpoint, Reply

# After so many questions in a row that nothing came of, the rest are not asked.
GIVE_UP = 3
LONGEST_WAIT = 60.0


class EndpointJudge:
    """A judge behind an OpenAI-compatible endpoint.

    The endpoint is not trusted: a question ends at its deadline, at most 2 MiB of a reply are read, redirects are not
    followed, and a key or password that the server quotes is taken out of what it said.

    Parameters
    ----------
    model
        The model's name there.
    base_url
        The endpoint, such as ``http://localhost:8000/v1``; by default ``$OPENAI_BASE_URL``, or OpenAI's own.
    key_variable
        The environment variable that holds the key. It is read when it is needed and written nowhere.
    options
        What else each request says, such as ``{"max_tokens": 16}``; the temperature is 0 unless they say otherwise.
        ``extra_headers``, ``extra_query`` and ``extra_body`` are sent as headers, as the URL's query and in the body.
    prices
        For a million tokens read, and a million written, to count the cost.
    per_minute
        The most requests in a minute.
    workers
        How many requests may be under way at once.
    timeout
        Seconds for one request, from the connection to the last byte of the reply.
    deadline
        Seconds for one question, with all tries and the waits between them.
    retries
        How often to try again, after 1, 2, 4, … seconds or as long as the endpoint asks for, at most a minute.
    cache
        The folder of answers; by default one in the user's cache. None keeps none. Its owner alone can read it: its mode is
        set to 0700.
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
        self._in_vain = 0
        key = os.environ.get(key_variable, "")
        if not key and base_url is None:
            raise ValueError(
                f"There is no key in ${key_variable}; set it, or give the base_url of an endpoint without one."
            )
        self._client = Endpoint(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL, key)
        # Keys are sent in headers, too; what is shorter may well be a word of an answer.
        sent = [each for each in self._options.get("extra_headers", {}).values() if len(each) >= SHORT]
        self._scrubber = Scrubber([*self._client.secrets, *sent])

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
        if self._answers is not None and (kept := self._answers.get(request)) is not None:
            return _read(question, self._scrubber.scrub(kept), Tally(cached=1))
        if self._in_vain >= GIVE_UP:
            return Answer(None, problem="not asked: the endpoint had been given up"), Tally(not_asked=1)
        said, became, problem = self._ask(request)
        if said is None:
            self._in_vain += 1
            return Answer(None, problem=problem), became
        self._in_vain = 0
        answer, became = _read(question, said, became)
        if self._answers is not None and answer.text is not None:
            self._answers.put(request, said)
        return answer, became

    def _ask(self, request: Mapping[str, Any]) -> tuple[str | None, Tally, str]:
        """Ask until there is an answer, all tries are used up or the deadline has come; return what was said, or why not."""
        problem, kind, spent, tries = "", "", 0.0, 0
        body = {"model": request["model"], "messages": request["messages"], **self._options}
        for tries in range(self._retries + 1):
            self._pace()
            pause = min(2.0**tries, LONGEST_WAIT)
            began = time.monotonic()
            try:
                reply = self._client.post("chat/completions", body, min(self._timeout, self._deadline - spent))
            except OSError as error:
                problem, kind = self._scrubber.line(str(error) or type(error).__name__), "unreachable"
            except ValueError as error:
                problem, kind = f"the reply is none of a model's: {self._scrubber.line(str(error))}", "nonsense"
            else:
                said, problem, kind = self._said(reply)
                if said is not None:
                    return said, self._spent(reply, tries), ""
                pause = _asked_for(reply, pause)
            if kind == "refused":
                break
            spent += time.monotonic() - began + pause
            if spent >= self._deadline:
                break
            if tries < self._retries:
                self._wait(pause)
        return None, Tally(**{kind: 1}, retries=tries), problem

    def _said(self, reply: Reply) -> tuple[str | None, str, str]:
        """Return what a reply says; where it is no answer, None, why, and what to count it as."""
        if 200 <= reply.status < 300:
            try:
                said = reply.json()["choices"][0]["message"]["content"].strip()
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                why = self._scrubber.line(str(error) or type(error).__name__)
                return None, f"the reply is none of a model's: {why}", "nonsense"
            return self._scrubber.scrub(said), "", ""
        if 300 <= reply.status < 400:
            where = self._scrubber.line(reply.headers.get("location", "elsewhere"))
            return (
                None,
                f"the endpoint redirects to {where}, which is not followed; give that as base_url if it is right",
                "refused",
            )
        again = reply.status in (408, 409, 429) or reply.status >= 500
        problem = self._scrubber.line(f"status {reply.status}: {_message(reply)}")
        return None, problem, "unreachable" if again else "refused"

    def _request(self, question: Question) -> dict[str, Any]:
        """Return all that shapes an answer, and so is its name on disk."""
        system = prompt("endpoint_open")
        if question.options:
            system = prompt("endpoint_options", options="\n".join(f"- {each}" for each in question.options))
        texts = (("system", system), ("user", question.prompt))
        request = {
            "endpoint": self._client.name,
            "model": self.name,
            "messages": [{"role": role, "content": text} for role, text in texts],
            # Headers may hold keys.
            "options": {name: value for name, value in self._options.items() if name != "extra_headers"},
        }
        # Half of a surrogate pair is no character, and has no place in a file.
        return json.loads(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))

    def _spent(self, reply: Reply, retries: int) -> Tally:
        usage = reply.json().get("usage")
        read, written = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
        cost = (read * self._prices[0] + written * self._prices[1]) / 1e6
        return Tally(answered=1, retries=retries, input_tokens=read, output_tokens=written, cost=cost)


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


def _checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    if "stream" in options:
        raise ValueError("options hold 'stream'; answers are read whole, so leave it out.")
    for name in ("extra_headers", "extra_query", "extra_body"):
        if (kind := type(options.get(name) or {})) is not dict:
            raise ValueError(f"options['{name}'] is a {kind.__name__}; it must be a dictionary.")
    headers = {str(name): str(value) for name, value in (options.get("extra_headers") or {}).items()}
    try:
        # As JSON has them, so that what is kept on disk compares equal to what is asked.
        plain = json.loads(json.dumps({name: value for name, value in options.items() if name != "extra_headers"}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"options cannot be sent as JSON ({error}); give plain values.") from None
    return {"temperature": 0, **plain, **({"extra_headers": headers} if headers else {})}


def _read(question: Question, said: str, became: Tally) -> tuple[Answer, Tally]:
    """Read what was said; with options, one of them has to be in it."""
    text = option_in(said, question.options) if question.options else said or None
    if text is None:
        became.answered, became.nonsense = 0, 1
        return Answer(None, problem=f"it names none of the options: {said[:80]!r}", said=said), became
    return Answer(text, said=said), became


def _message(reply: Reply) -> str:
    """Return what an error's body says."""
    try:
        error = reply.json().get("error")
    except (ValueError, AttributeError):
        return reply.text
    return str(error.get("message") if isinstance(error, dict) else error or "no reason is given")


def _count(usage: Any, name: str) -> int:
    """Return a number of tokens, and 0 for anything else that an endpoint may say."""
    value = usage.get(name) if isinstance(usage, dict) else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0


def _asked_for(reply: Reply, pause: float) -> float:
    """Return the seconds that an endpoint asks to be left alone for, within bounds."""
    try:
        asked = float(reply.headers.get("retry-after", 0))
    except ValueError:  # a date
        return pause
    return min(max(pause, asked), LONGEST_WAIT) if math.isfinite(asked) else pause
