"""The judge behind an endpoint that means harm: on the loopback interface, with answers byte by byte."""

import base64
import gzip
import json
import os
import stat
import sys
import tracemalloc
import zlib

import pytest
from chat_server import reply
from raw_server import RawServer, response

from ssae_lens.latents.judges.answers import Scrubber
from ssae_lens.latents.judges.endpoint import EndpointJudge
from ssae_lens.latents.judges.questions import Question
from ssae_lens.latents.judges.transport import MAX_BYTES, Endpoint

KEY = "sk-secret-0123456789"
PASSWORD = "correct horse/battery"
QUESTION = Question("Which colour?", ("red", "blue"))
MIB = 1 << 20


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function from a script, and a judge's settings, to the server and a judge of it that never sleeps."""
    servers = []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def start(script, pause=0.0, user="", **settings):
        server = RawServer(script, pause)
        servers.append(server)
        url = f"http://{user}{server.host}/v1"
        settings = {"cache": tmp_path / "answers", "wait": lambda _: None, "retries": 0, "quiet": True, **settings}
        return server, EndpointJudge("m", base_url=url, **settings)

    yield start
    for server in servers:
        server.close()


def said(text, **usage):
    return response(json.dumps(reply(text, **usage)).encode(), "Content-Type: application/json")


def failed(judge, match):
    with pytest.warns(UserWarning, match=match):
        (answer,) = judge.answer([QUESTION])
    assert answer.text is None
    return answer


class TestTime:
    @pytest.mark.parametrize("part", ["status line", "headers", "body", "chunks", "continue"])
    def test_a_server_that_sends_a_byte_at_a_time_is_given_up(self, serve, part):
        """Each byte comes long before any timeout of a single read; all of them would take minutes."""
        whole = said("red")
        head, _, body = whole.partition(b"\r\n\r\n")
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        begin, rest = {
            "status line": (b"H", whole[1:]),
            "headers": (whole[:20], whole[20:]),
            "body": (head + b"\r\n\r\n", body),
            "chunks": (chunked, b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n"),
            "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10 + whole),
        }[part]

        def script(*_):
            yield begin
            for each in rest:
                yield bytes([each])

        server, judge = serve(script, pause=0.02, timeout=0.3)
        failed(judge, "timed out")
        assert judge.tally.unreachable == 1
        assert server.sent < len(whole) / 2

    def test_all_tries_of_a_question_share_one_deadline(self, serve, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("ssae_lens.latents.judges.endpoint.time.monotonic", lambda: now[0])
        waits = []

        def wait(seconds):
            waits.append(seconds)
            now[0] += seconds

        busy = response(b"{}", "Retry-After: 60", status="503 Busy")
        server, judge = serve(lambda *_: [busy], wait=wait, deadline=150.0, retries=100)
        failed(judge, "status 503")
        assert waits == [60, 60]
        assert len(server.requests) == 3

    def test_a_server_that_waits_for_ever_to_be_asked_to_wait(self, serve):
        for seconds in ("inf", "nan", "-1e999", "1e999", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"):
            waits = []
            busy = response(b"{}", f"Retry-After: {seconds}", status="429 Busy")
            _, judge = serve(lambda *_, busy=busy: [busy], wait=waits.append, retries=1)
            failed(judge, "status 429")
            assert waits == [1.0]


class TestSize:
    @pytest.mark.parametrize("framing", ["length", "chunks", "close", "headers"])
    def test_no_more_than_the_cap_is_read(self, serve, framing):
        piece = b"x" * 65536
        heads = {
            "length": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000000\r\n\r\n",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "close": b"HTTP/1.1 200 OK\r\n\r\n",
            "headers": b"HTTP/1.1 200 OK\r\n",
        }
        wrap = {"chunks": lambda: b"10000\r\n" + piece + b"\r\n", "headers": lambda: b"a: b\r\n" * 10_000}

        def script(*_):
            yield heads[framing]
            for _ in range(1000):
                yield wrap.get(framing, lambda: piece)()

        server, judge = serve(script, timeout=20.0)
        tracemalloc.start()
        failed(judge, "not a chat completion: the response is (larger than 2 MiB|not HTTP)")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert judge.tally.nonsense == 1
        assert peak < 16 * MIB
        assert server.sent < 32 * MIB  # the system's own buffers included

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_a_compressed_bomb_is_not_unfolded(self, serve, encoding):
        unfolded = b" " * (64 * MIB)
        bomb = gzip.compress(unfolded) if encoding == "gzip" else zlib.compress(unfolded)
        assert len(bomb) < MAX_BYTES / 8
        _, judge = serve(lambda *_: [response(bomb, f"Content-Encoding: {encoding}")])
        tracemalloc.start()
        failed(judge, "larger than 2 MiB")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 * MIB

    def test_compression_that_was_not_asked_for_is_read_within_the_cap(self, serve):
        body = gzip.compress(json.dumps(reply("red")).encode())
        server, judge = serve(lambda *_: [response(body, "Content-Encoding: gzip")])
        assert judge.answer([QUESTION])[0].text == "red"
        assert b"accept-encoding: identity" in server.requests[0].lower()

    @pytest.mark.parametrize(
        ("encoding", "match"),
        [("br", "encoded as 'br'"), ("gzip", "not gzip, as it says"), ("gzip, gzip", "encoded as")],
    )
    def test_what_cannot_be_decoded_is_nonsense(self, serve, encoding, match):
        _, judge = serve(lambda *_: [response(b"{}", f"Content-Encoding: {encoding}")])
        failed(judge, match)


class TestContent:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 200_000,
            b'{"choices":' * 100_000,
            b'{"choices": [{"message": {"content": ' + b"[" * 900 + b"]" * 900 + b"}}]}",
            b'{"choices": ' + b"1" * 5000 + b"}",
            b"\xff\xfe{}",
            b"",
            b"null",
            b'{"choices": {}}',
            b'{"choices": [{"message": {"content": ["red"]}}]}',
            b'{"choices": [{"message": {"content": {"a": 1}}}]}',
        ],
        ids=range(10),
    )
    def test_nonsense_ends_one_question_and_not_the_call(self, serve, body):
        def script(_, request):
            yield response(body) if b"number 0" in request else said("red")

        _, judge = serve(script, workers=1)
        with pytest.warns(UserWarning, match="1 of 3 questions to m have no answer"):
            answers = judge.answer([Question(f"number {number}", ("red", "blue")) for number in range(3)])
        assert [each.text for each in answers] == [None, "red", "red"]
        assert (judge.tally.nonsense, judge.tally.answered) == (1, 2)

    @pytest.mark.parametrize("count", ["10", -5, 1e300, [1], None, {}, True, 1 << 70])
    def test_a_count_of_tokens_that_is_none_counts_nothing(self, serve, count):
        _, judge = serve(lambda *_: [said("red", prompt_tokens=count)], prices=(1.0, 1.0))
        assert judge.answer([QUESTION])[0].text == "red"
        assert (judge.tally.input_tokens, judge.tally.output_tokens) == (0, 2)

    def test_half_of_a_surrogate_pair(self, serve, tmp_path):
        """It is no character, and no file can hold it."""
        body = json.dumps(reply("one")).replace('"one"', r'"red \ud83d"')
        _, judge = serve(lambda *_: [response(body.encode())])
        failed(judge, "no character")
        _, judge = serve(lambda *_: [said("red")])
        assert judge.answer([Question("Which \ud83d?")])[0].text == "red"
        assert judge.answer([Question("Which \ud83d?")])[0].text == "red"
        assert judge.tally.cached == 1

    @pytest.mark.parametrize("raw", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"])
    def test_what_is_no_http(self, serve, raw):
        _, judge = serve(lambda *_: [raw])
        failed(judge, "not HTTP|closed before|not JSON|not a chat completion")


class TestRedirects:
    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
    def test_the_prompt_goes_to_no_other_host(self, serve, status):
        elsewhere, _ = serve(lambda *_: [said("red")])

        def script(*_):
            yield response(b"", f"Location: {elsewhere.url}/chat/completions?key={KEY}", status=status)

        server, judge = serve(script, retries=3)
        answer = failed(judge, f"redirects to {elsewhere.url}")
        assert (len(server.requests), elsewhere.requests, judge.tally.refused) == (1, [], 1)
        assert KEY not in answer.problem


class TestSecrets:
    def anywhere(self, tmp_path, answers, warned, secret):
        texts = [str(each) for each in answers] + [str(each.message) for each in warned]
        texts += [each.read_text() for each in tmp_path.rglob("*") if each.is_file()]
        return any(secret in text for text in texts)

    @pytest.mark.parametrize("form", [str, lambda key: base64.b64encode(key.encode()).decode()])
    def test_an_echoed_key_is_in_no_answer_and_on_no_disk(self, serve, tmp_path, form):
        _, judge = serve(lambda *_: [said(f"You sent {form(KEY)}.")])
        answers = judge.answer([Question("What did I send?")])
        assert answers[0].text == "You sent …."
        assert not self.anywhere(tmp_path, answers, [], form(KEY))
        assert len(list(tmp_path.rglob("*.json"))) == 1

    def test_an_echoed_key_is_in_no_message_however_long_that_is(self, serve, tmp_path):
        for before in range(150, 200, 7):
            body = json.dumps({"error": {"message": "x" * before + KEY}}).encode()
            _, judge = serve(lambda *_, body=body: [response(body, status="401 No")])
            with pytest.warns(UserWarning, match="status 401") as warned:
                answers = judge.answer([QUESTION])
            assert not self.anywhere(tmp_path, answers, warned, KEY[:8])

    def test_an_echoed_password_of_the_url(self, serve, tmp_path):
        token = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        quoted = PASSWORD.replace(" ", "%20").replace("/", "%2F")
        server, judge = serve(lambda *_: [said(f"red {PASSWORD} {quoted} {token}")], user=f"me:{quoted}@")
        answers = judge.answer([QUESTION])
        assert answers[0].response == "red … … …"
        assert f"Authorization: Basic {token}".encode() in server.requests[0]
        for secret in (PASSWORD, quoted, token):
            assert not self.anywhere(tmp_path, answers, [], secret)

    def test_a_key_among_extra_headers(self, serve, tmp_path):
        options = {"extra_headers": {"api-key": "azure-0123456789"}}
        server, judge = serve(lambda *_: [said("red azure-0123456789")], options=options)
        answers = judge.answer([QUESTION])
        assert b"api-key: azure-0123456789" in server.requests[0]
        assert answers[0].response == "red …"
        assert not self.anywhere(tmp_path, answers, [], "azure-0123456789")

    def test_an_answer_of_before_with_the_key_in_it(self, serve, tmp_path):
        _, judge = serve(lambda *_: [said("red")])
        judge.answer([QUESTION])
        (path,) = tmp_path.rglob("*.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "said": f"red {KEY}"}))
        assert judge.answer([QUESTION])[0].response == "red …"

    def test_a_key_that_cannot_be_sent_is_not_shown(self, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\r\nX: y")
        with pytest.raises(ValueError, match="cannot be sent") as error:
            EndpointJudge("m", base_url="http://127.0.0.1:9/v1")
        assert "sk-secret" not in str(error.value)

    @pytest.mark.parametrize(
        "url", ["ftp://me:secret@host/v1", "http://me:secret@/v1", "me:secret@host", "http://h:x/", ""]
    )
    def test_a_url_that_is_none_is_not_shown_with_its_password(self, url):
        with pytest.raises(ValueError, match="base_url is not the address") as error:
            Endpoint(url)
        assert "secret" not in str(error.value)

    def test_a_short_secret_is_taken_out_as_a_word_alone(self):
        assert Scrubber(["red"]).scrub("red, hundred") == "…, hundred"
        assert Scrubber([]).scrub("red") == "red"

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
    def test_only_the_owner_can_read_what_is_kept(self, serve, tmp_path):
        (tmp_path / "answers").mkdir(mode=0o755)
        before = os.umask(0)
        try:
            for folder in ("answers", "new"):
                _, judge = serve(lambda *_: [said("red")], cache=tmp_path / folder)
                judge.answer([QUESTION])
                (path,) = (tmp_path / folder).iterdir()
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        finally:
            os.umask(before)


class TestAddress:
    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("http://localhost:8000/v1", "localhost:8000/v1/"),
            ("https://api.openai.com/v1/", "api.openai.com/v1/"),
            ("http://me:secret@host:80/", "host/"),
            ("https://[::1]:8443/a/b?key=x", "[::1]:8443/a/b/"),
        ],
    )
    def test_its_name_is_host_and_path(self, url, name, monkeypatch):
        monkeypatch.setenv("NO_PROXY", "*")
        assert Endpoint(url).name == name

    def test_extra_query_and_body_are_sent(self, serve):
        options = {"extra_query": {"api-version": "1"}, "extra_body": {"top_k": 3}, "max_tokens": 2}
        server, judge = serve(lambda *_: [said("red")], options=options)
        assert judge.answer([QUESTION])[0].text == "red"
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/chat/completions?api-version=1 HTTP/1.1")
        sent = json.loads(body)
        assert (sent["top_k"], sent["max_tokens"], sent["temperature"], sent["model"]) == (3, 2, 0, "m")
        assert judge.answer([QUESTION])[0].text == "red"
        assert judge.tally.cached == 1

    def test_a_proxy_of_the_environment_is_used(self, serve, monkeypatch):
        proxy, _ = serve(lambda *_: [said("red")])
        monkeypatch.setenv("http_proxy", f"http://me:{KEY}@{proxy.host}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        judge = EndpointJudge("m", base_url="http://endpoint.invalid/v1", cache=None, retries=0, quiet=True)
        assert judge.answer([QUESTION])[0].text == "red"
        assert proxy.requests[0].startswith(b"POST http://endpoint.invalid/v1/chat/completions HTTP/1.1")
        assert b"Proxy-Authorization: Basic" in proxy.requests[0]
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
        with pytest.raises(ValueError, match=r"'socks5'.*NO_PROXY"):
            Endpoint("http://endpoint.invalid/v1")

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"stream": True}, "'stream'"),
            ({"extra_headers": [1]}, "must be a dictionary"),
            ({"stop": {1, 2}}, "cannot be sent as JSON"),
        ],
    )
    def test_options_that_cannot_be_sent(self, options, match):
        with pytest.raises(ValueError, match=match):
            EndpointJudge("m", base_url="http://127.0.0.1:9/v1", options=options)
