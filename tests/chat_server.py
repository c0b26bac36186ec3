"""An OpenAI-compatible endpoint on the loopback interface, which says what a test tells it to, also nonsense."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def reply(said, **usage):
    """Return the body of a good answer."""
    message = {"role": "assistant", "content": said}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, **usage},
    }


class ChatServer:
    """Answers each request by what `script` gives for its number and its body: (status, body) or (status, body, headers).

    A body that is no dictionary is sent as it is. None keeps the request waiting until the server is closed.
    """

    def __init__(self, script):
        self.script, self.requests, self.keys = script, [], []
        self._closed, self._lock = threading.Event(), threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.requests.append(body)
                    outer.keys.append(self.headers["Authorization"])
                    answer = outer.script(len(outer.requests) - 1, body)
                if answer is None:
                    outer._closed.wait(30)
                    return
                status, content, headers = (*answer, {}) if len(answer) == 2 else answer
                text = json.dumps(content) if isinstance(content, dict) else content
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if text.startswith("{") else "text/html")
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self):
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
