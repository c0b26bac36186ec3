"""Readers of texts: JSON, YAML, CSV, and what a judge's endpoint replies."""

import io
import json
import zlib
from pathlib import Path
from typing import Annotated, Any

import yaml

from .engine import RefusedError, Target
from .mutate import mutated_bytes, mutated_json, mutated_text

HOOK = "blocks.1.hook_resid_post"
KEY = "sk-fuzz-0123456789"

CSV_TOKENS = (
    ",",
    '"',
    '""',
    "\r",
    "\r\n",
    "\x00",
    "\ufeff",
    ";",
    "change_x,",
    "changed",
    "|",
    "-1",
    "2",
    "é",
    "x" * 200,
    "=1+1",
)
YAML_TOKENS = (
    "&a ",
    "*a",
    "<<: *a",
    "<<: {a: 1}",
    "!!python/object/apply:os.system [touch canary]",
    "!!python/name:os.system",
    "!!binary aGk=",
    "!!int ''",
    "!!float x",
    "!!bool x",
    "!!timestamp x",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!x y",
    "? ",
    "| ",
    "> ",
    "---\n",
    "...\n",
    "%YAML 9.9\n",
    "{",
    "[",
    "]",
    "}",
    "\t",
    ": ",
    "- ",
    "'",
    '"',
    "#",
    "1" * 100,
    "1:1:1:1:1",
    "0x" + "f" * 80,
    ".inf",
    "2025-13-45",
    "[" * 80,
    "- " * 80,
    "\x07",
    "\u2028",
    '"\\ud800"',
    "null",
    "~",
    "true",
)


def json_of(name, share=0.6):
    """Return a mutation of one JSON file: of its values, or else of its bytes."""

    def mutate(rng, files):
        data = files[name]
        if rng.random() < share:
            data = mutated_json(rng, json.loads(data)).encode("utf-8", "surrogatepass")
        if rng.random() > share or rng.random() < 0.2:
            data = mutated_bytes(rng, data)
        return {**files, name: data}

    return mutate


def lines_of(name):
    """Return a mutation of a file with a JSON value on each line."""

    def mutate(rng, files):
        lines = files[name].decode().splitlines()
        if rng.random() < 0.7:
            at = rng.randrange(len(lines))
            lines[at] = mutated_json(rng, json.loads(lines[at]))
        data = "\n".join(lines).encode("utf-8", "surrogatepass")
        return {**files, name: mutated_bytes(rng, data) if rng.random() < 0.4 else data}

    return mutate


def text_of(name, tokens, share=0.6):
    """Return a mutation of a text by tokens of its language, or else of its bytes."""

    def mutate(rng, files):
        data = files[name]
        if rng.random() < share:
            data = mutated_text(rng, data.decode(), tokens).encode("utf-8", "surrogatepass")
        if rng.random() > share or rng.random() < 0.2:
            data = mutated_bytes(rng, data)
        return {**files, name: data}

    return mutate


def one_of(mutations):
    """Return a mutation that is one of several at a time."""
    return lambda rng, files: rng.choice(mutations)(rng, files)


def _pairs_csv(folder):
    (folder / "pairs.csv").write_text(
        'source,target,changed,change_tense,change_x,content\n"He is, now",He was,tense,-1,0,he\n'
        "I go,I went,tense|x,-1,1,\nA,B,,0,,c\n"
    )


def _pairs_json(folder):
    rows = [
        {"source": "he is", "target": "he was", "changes": {"tense": -1}, "content": "he", "n": 1},
        {"source": "a", "target": "b", "changes": {"tense": 0, "x": 1}, "content": None, "n": None},
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))


def _records(folder):
    kinds = {
        "truthfulqa.json": [{"question": "q?", "best_answer": "a", "incorrect_answers": ["b", "c"], "category": "x"}]
        * 2,
        "ab.json": [{"question": "q?", "answer_matching_behavior": " (A)", "answer_not_matching_behavior": " (B)"}] * 2,
        "labelled.json": [{"sentence": f"s{i}", "tense": "past" if i % 2 else "now", "n": i % 3} for i in range(6)],
    }
    for name, rows in kinds.items():
        (folder / name).write_text(json.dumps(rows))


def _load_pairs(name):
    def read(folder):
        from ssae_lens.pairs import load_pairs, signed_changes

        found = load_pairs(folder / name)
        if "changes" in found.column_names:
            signed_changes(found)

    return read


def _load_records(folder):
    from ssae_lens.pairs import load_pairs

    errors = []
    for name in ("truthfulqa.json", "ab.json", "labelled.json"):
        try:
            load_pairs(folder / name)
        except ValueError as error:
            if str(folder) not in str(error):
                raise
            errors.append(error)
    if errors:
        raise errors[0]


def _tasks(folder):
    (folder / "topics" / "cats").mkdir(parents=True)
    topics = {"pos": [f"a cat {i}" for i in range(8)], "neg": [f"a tree {i}" for i in range(8)]}
    (folder / "topics" / "cats" / "act_steer.json").write_text(json.dumps(topics))
    (folder / "topics" / "cats" / "criteria.json").write_text(json.dumps([{"score": "It is about cats.", "n": 1}]))
    (folder / "behaviours").mkdir()
    rows = [
        {
            "question": f"q{i}?",
            "answer_matching_behavior": f" ({'AB'[i % 2]})",
            "answer_not_matching_behavior": f" ({'BA'[i % 2]})",
        }
        for i in range(10)
    ]
    (folder / "behaviours" / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))


def _load_tasks(folder):
    from studies.steering.task_files import behaviour_tasks, topic_tasks

    topic_tasks(folder / "topics", n_pairs=4)
    behaviour_tasks(folder / "behaviours", learned=4, measured=4)


def _settings(folder):
    (folder / "run.yaml").write_text(
        "# a comment\ncommand: train\nd_sae: [4, 8]\nlr: 1.0e-3\nout: a/b\nsteps: 5\nquiet: true\nlevel: null\n"
        "further: {a: [1, two, {b: 3.5}]}\nday: 2025-01-02\ntext: |\n  two\n  lines\n"
    )


def _command():
    """Return a command with options of every kind, which takes further settings, and does nothing."""
    import typer

    from ssae_lens.cli import common

    app = common.group("Commands.")

    @app.command()
    def train(
        context: typer.Context,
        d_sae: Annotated[list[int] | None, typer.Option()] = None,
        lr: float = 0.1,
        steps: int | None = None,
        level: float | None = None,
        out: Path = Path("x"),
        config: common.Config = None,
        quiet: common.Quiet = False,
    ):
        common.further_settings(context, takes=True)
        yaml.safe_dump(common.settings_of(context), sort_keys=False, allow_unicode=True)

    @app.command()
    def other():
        pass

    return app


def _read_settings(folder):
    global _APP  # noqa: PLW0603 - made once in each process
    _APP = _APP or _command()
    _APP(["train", "--config", str(folder / "run.yaml")], standalone_mode=False)


_APP: Any = None


def _small_ssae():
    import torch

    from ssae_lens import SSAE

    return SSAE.from_weights(torch.eye(3), torch.eye(3))


def _run(folder):
    log = [
        {"d_sae": 3, "step": step, "loss": [1.0, 2.0], "sparsity": [0.1, 0.2], "multiplier": [0.0, 1.0]}
        for step in (1, 5)
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, log)))
    (folder / "run.json").write_text(json.dumps({"seeds": [0], "bounds": [0.1, 0.2], "d_sae": 3}))
    table = [{"d_sae": 3, "level": level, "udr_decoders": 0.9, "status": "binding"} for level in (0.1, 0.2)]
    (folder / "sweep.json").write_text(json.dumps(table))


def _report_of_run(folder):
    from ssae_lens.dashboards import build_report

    build_report(_small_ssae(), run=folder, quiet=True).to_dict()


def _results(folder):
    cell = {"task": "t", "method": "SSAE", "hook": HOOK}
    study = {
        "hook": HOOK,
        "methods": {"SSAE": "pairs"},
        "table": [
            {"task": "t", "method": "SSAE", "product": 0.5, "product_low": 0.4, "product_high": 0.6, "scale": 1.0}
        ],
        "cells": [
            {
                "cell": {"part": "dose", **cell},
                "scales": [0, 1],
                "behaviour": [[0.1], [0.2]],
                "coherence": [[1.0], [0.5]],
            },
            {"cell": {"part": "report", "scale": 1.0, **cell}, "texts": {"The": " man"}},
        ],
    }
    features = [{"vector": "v", "dictionary": "SAE", "feature": 1, "value": 0.5, "zero_value": 0.0}] * 2
    (folder / "study.json").write_text(json.dumps(study))
    (folder / "features.json").write_text(json.dumps({"features": features, "summary": [{"vector": "v", "r2": 0.5}]}))


def _report_of_results(folder):
    from ssae_lens.dashboards import build_report

    report = build_report(
        _small_ssae(), comparison=folder / "study.json", decomposition=folder / "features.json", quiet=True
    )
    report.to_dict()


def _reply(folder):
    message = {"role": "assistant", "content": "The answer is red."}
    body = {
        "id": "1",
        "choices": [{"index": 0, "message": message}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    text = json.dumps(body)
    (folder / "body.json").write_text(text)
    (folder / "reply").write_text(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}")


def _mutated_reply(rng, files):
    body = files["body.json"]
    if rng.random() < 0.7:
        body = mutated_json(rng, json.loads(body)).encode("utf-8", "surrogatepass")
    headers, status = (
        [],
        rng.choice(("200 OK",) * 6 + ("307 Moved", "401 No", "429 Busy", "500 No", "204 Nothing", "999")),
    )
    if rng.random() < 0.2:
        body = body.replace(b"The answer", KEY.encode())
    if rng.random() < 0.15:
        body, coding = zlib.compress(body + b" " * rng.choice((0, 10_000_000))), rng.choice(("deflate", "gzip", "br"))
        headers.append(f"Content-Encoding: {coding}".encode())
    if rng.random() < 0.3:
        headers.append(rng.choice((b"Retry-After: 1e999", b"Retry-After: nan", b"Location: http://x/", b"a" * 70_000)))
    if rng.random() < 0.2:
        pieces = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        headers.append(b"Transfer-Encoding: chunked")
        whole = b"\r\n".join([b"HTTP/1.1 " + status.encode(), *headers, b"", b""]) + pieces
    else:
        headers.append(b"Content-Length: %d" % len(body))
        whole = b"\r\n".join([b"HTTP/1.1 " + status.encode(), *headers, b"", b""]) + body
    if rng.random() < 0.4:
        whole = mutated_bytes(rng, whole)
    return {"reply": whole}


class _Socket(io.BytesIO):
    """A connection at whose other end an answer waits."""

    def settimeout(self, _):
        pass

    def send(self, data):
        return len(data)

    def recv_into(self, buffer):
        return self.readinto(buffer)


def _judge(cache):
    import os

    from ssae_lens.latents.judges import EndpointJudge

    os.environ["OPENAI_API_KEY"] = KEY
    return EndpointJudge(
        "m", base_url="http://127.0.0.1:9/v1", retries=0, workers=1, cache=cache, wait=lambda _: None, quiet=True
    )


def _ask(judge):
    from ssae_lens.latents.judges import Question

    (answer,) = judge.answer([Question("Which?", ("red", "blue"))])
    if KEY in str(answer):
        raise AssertionError(f"the key is in {answer}")
    if answer.text is None:
        raise RefusedError(answer.problem)


def _read_reply(folder):
    import http.client

    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = _Socket((folder / "reply").read_bytes())

    judge = _judge(folder / "answers")
    judge._client._connection = lambda _: Connection("127.0.0.1")
    try:
        _ask(judge)
    finally:
        kept = [each.read_text() for each in Path(folder / "answers").glob("*")]
        if any(KEY in text for text in kept):
            raise AssertionError("the key is on the disk")


def _answers(folder):
    from ssae_lens.latents.judges import Question

    judge = _judge(folder)
    judge._answers.put(judge._request(Question("Which?", ("red", "blue"))), "red")
    (kept,) = folder.glob("*.json")
    kept.rename(folder / "answer.json")
    (folder / "name").write_text(kept.name)


def _read_answers(folder):
    (folder / "answer.json").rename(folder / (folder / "name").read_text())
    judge = _judge(folder)
    judge._failures = 3

    def post(*_):
        raise OSError("nothing is asked")

    judge._client.post = post
    _ask(judge)


def targets():
    """Return the readers of texts."""
    return [
        Target(
            "pairs csv",
            "`load_pairs` of a CSV file",
            _pairs_csv,
            text_of("pairs.csv", CSV_TOKENS),
            _load_pairs("pairs.csv"),
        ),
        Target(
            "pairs json", "`load_pairs` of JSON lines", _pairs_json, lines_of("pairs.jsonl"), _load_pairs("pairs.jsonl")
        ),
        Target(
            "pairs records",
            "`load_pairs` of questions, behaviours and labelled sentences",
            _records,
            one_of([json_of(name) for name in ("truthfulqa.json", "ab.json", "labelled.json")]),
            _load_records,
            weight=0.3,
        ),
        Target(
            "tasks",
            "tasks of steering: `act_steer.json`, `criteria.json`, behaviours",
            _tasks,
            one_of(
                [
                    json_of("topics/cats/act_steer.json"),
                    json_of("topics/cats/criteria.json"),
                    lines_of("behaviours/b.jsonl"),
                ]
            ),
            _load_tasks,
            weight=0.5,
        ),
        Target(
            "config",
            "`--config` of a command, YAML",
            _settings,
            text_of("run.yaml", YAML_TOKENS),
            _read_settings,
            names_file=False,
        ),
        Target(
            "run",
            "`build_report` of a run: `log.jsonl`, `run.json`, `sweep.json`",
            _run,
            one_of([lines_of("log.jsonl"), json_of("run.json"), json_of("sweep.json")]),
            _report_of_run,
        ),
        Target(
            "results",
            "`build_report` of results: a steering study, a decomposition",
            _results,
            one_of([json_of("study.json"), json_of("features.json")]),
            _report_of_results,
        ),
        Target("judge reply", "what a judge's endpoint replies, HTTP and JSON", _reply, _mutated_reply, _read_reply),
        Target("judge answers", "answers of a judge that are kept", _answers, json_of("answer.json"), _read_answers),
    ]
