"""The judge behind an endpoint, against one on the loopback interface that does all that endpoints do."""

import json
import re
import socket

import pytest
from chat_server import ChatServer, reply

from ssae_lens.latents.judges.endpoint import EndpointJudge
from ssae_lens.latents.judges.questions import Question

KEY = "sk-secret-0123456789"
COLOURS = ("red", "blue")


def question(number=0, options=COLOURS):
    return Question(f"Which colour has number {number}?", options)


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function from a script, and a judge's settings, to the server and a judge of it that never sleeps."""
    servers = []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def start(script, **settings):
        server = ChatServer(script)
        servers.append(server)
        waits = []
        settings = {"cache": tmp_path / "answers", "wait": waits.append, "timeout": 5.0, "quiet": True, **settings}
        judge = EndpointJudge("m", base_url=server.url, **settings)
        return server, judge, waits

    yield start
    for server in servers:
        server.close()


def kept(tmp_path):
    return [path.read_text() for path in (tmp_path / "answers").glob("*.json")]


def test_answers_come_in_order_and_are_counted(serve):
    def script(_, body):
        number = int(re.search(r"number (\d+)", body["messages"][1]["content"]).group(1))
        return 200, reply("Blue." if number % 2 else "red")

    server, judge, waits = serve(script, prices=(1.0, 10.0))
    answers = judge.answer([question(number) for number in range(9)])
    assert [each.text for each in answers] == ["red", "blue"] * 4 + ["red"]
    assert (judge.tally.answered, judge.tally.failed, judge.tally.retries) == (9, 0, 0)
    assert (judge.tally.input_tokens, judge.tally.output_tokens) == (90, 18)
    assert judge.tally.cost == pytest.approx((90 * 1 + 18 * 10) / 1e6)
    assert "9 answered" in str(judge.tally)
    assert "cost 0.00027" in str(judge.tally)
    assert waits == []
    sent = server.requests[0]
    assert (sent["model"], sent["temperature"]) == ("m", 0)
    assert "- red\n- blue" in sent["messages"][0]["content"]
    assert server.keys == [f"Bearer {KEY}"] * 9


def test_the_same_question_is_asked_and_paid_once(serve, tmp_path):
    server, judge, _ = serve(lambda *_: (200, reply("red")))
    assert [each.text for each in judge.answer([question(), question()])] == ["red", "red"]
    _, again, _ = serve(lambda *_: (500, {}))
    # Another server is another endpoint; the same one answers from disk.
    again._client = judge._client
    assert again.answer([question()])[0].text == "red"
    assert (len(server.requests), again.tally.cached, again.tally.answered) == (1, 1, 0)
    # Whatever shapes an answer makes it another question.
    judge.answer([question(options=("red", "green"))])
    assert len(server.requests) == 2
    assert not any(KEY in text for text in kept(tmp_path))


def test_a_damaged_answer_on_disk_is_asked_for_again(serve, tmp_path):
    server, judge, _ = serve(lambda *_: (200, reply("red")))
    judge.answer([question()])
    (path,) = (tmp_path / "answers").iterdir()
    for damage in ("", "[]", json.dumps({"request": {}, "said": "blue"})):
        path.write_text(damage)
        assert judge.answer([question()])[0].text == "red"
    assert len(server.requests) == 4


def test_what_passes_is_tried_again(serve):
    hitches = [(500, {}), (429, {}, {"Retry-After": "7"}), (200, "<html>busy</html>"), (200, {"choices": []})]

    def script(number, _):
        return hitches[number] if number < len(hitches) else (200, reply("blue"))

    _, judge, waits = serve(script)
    assert judge.answer([question()])[0].text == "blue"
    assert waits == [1, 7, 4, 8]
    assert (judge.tally.answered, judge.tally.retries, judge.tally.failed) == (1, 4, 0)


def test_nonsense_is_counted_and_said(serve):
    server, judge, waits = serve(lambda *_: (200, reply("I could not possibly say; red or blue?")))
    with pytest.warns(UserWarning, match=r"1 of 1 questions to m have no answer \(it names none of the options"):
        answer = judge.answer([question()])[0]
    assert answer.text is None
    assert answer.response.startswith("I could not")
    assert (judge.tally.nonsense, judge.tally.answered, waits) == (1, 0, [])
    server.script = lambda *_: (200, reply("red"))
    assert judge.answer([question()])[0].text == "red"  # no nonsense is kept
    _, judge, _ = serve(lambda *_: (200, "not even JSON"), retries=1)
    with pytest.warns(UserWarning, match="not a chat completion"):
        judge.answer([question()])
    assert (judge.tally.nonsense, judge.tally.retries) == (1, 1)


def test_an_endpoint_that_is_down_is_given_up_and_nothing_is_lost(serve):
    server, judge, _ = serve(lambda number, _: (200, reply("red")) if number < 2 else (503, {}), workers=1, retries=1)
    with pytest.warns(UserWarning, match="8 of 10 questions"):
        answers = judge.answer([question(number) for number in range(10)])
    assert [each.text for each in answers] == ["red"] * 2 + [None] * 8
    assert (judge.tally.answered, judge.tally.unreachable, judge.tally.not_asked) == (2, 3, 5)
    assert len(server.requests) == 2 + 3 * 2
    server.script = lambda *_: (200, reply("blue"))
    assert [each.text for each in judge.answer([question(number) for number in range(10)])] == ["red"] * 2 + [
        "blue"
    ] * 8
    assert judge.tally.cached == 2


def test_no_one_listens(monkeypatch, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    waits = []
    judge = EndpointJudge(
        "m", base_url=f"http://127.0.0.1:{port}/v1", cache=None, wait=waits.append, retries=2, timeout=1.0, quiet=True
    )
    with pytest.warns(UserWarning, match="have no answer"):
        assert judge.answer([question()])[0].text is None
    assert (judge.tally.unreachable, waits) == (1, [1, 2])


def test_an_endpoint_that_is_too_slow(serve):
    _, judge, _ = serve(lambda *_: None, timeout=0.05, retries=0)
    with pytest.warns(UserWarning, match="timed out"):
        judge.answer([question()])
    assert judge.tally.unreachable == 1


def test_a_refusal_is_not_tried_again_and_does_not_give_the_key_away(serve, tmp_path):
    server, judge, waits = serve(lambda *_: (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}))
    with pytest.warns(UserWarning, match="Incorrect API key") as warned:
        answer = judge.answer([question()])[0]
    assert (judge.tally.refused, len(server.requests), waits) == (1, 1, [])
    assert "Incorrect API key" in answer.problem
    assert not any(KEY in text for text in (answer.problem, str(warned[0].message), repr(judge)))
    assert not (tmp_path / "answers").exists()


def test_requests_keep_to_their_pace(serve, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("ssae_lens.latents.judges.endpoint.time.monotonic", lambda: now[0])
    _, judge, waits = serve(lambda *_: (200, reply("red")), per_minute=30, workers=1)
    judge.answer([question(number) for number in range(4)])
    assert waits == [2, 4, 6]  # from one moment: the waiting itself is only pretended here


def test_in_its_own_words(serve):
    server, judge, _ = serve(lambda *_: (200, reply(" verb tense ")))
    assert judge.answer([Question("What changes?")])[0].text == "verb tense"
    assert "options" not in server.requests[0]["messages"][0]["content"]


def test_bad_input(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match=r"no key in \$OPENAI_API_KEY"):
        EndpointJudge("m")
    for wrong in ({"workers": 0}, {"retries": -1}, {"timeout": 0}, {"per_minute": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            EndpointJudge("m", base_url="http://127.0.0.1:9/v1", **wrong)
