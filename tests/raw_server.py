"""A server on the loopback interface that sends whatever bytes a test wants, as slowly and as many as it wants."""

import socket
import threading


class RawServer:
    """Answers each connection with the pieces of bytes that ``script(number, request)`` yields.

    It stops when the client closes the connection, when the pieces end, and when it is closed. `pause` is how long it waits
    before each piece after the first.

    Attributes
    ----------
    requests
        What clients sent, as bytes.
    sent
        How many bytes of answers the system has taken.
    """

    def __init__(self, script, pause=0.0):
        self.script, self.pause, self.requests, self.sent = script, pause, [], 0
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.port = self._listening.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}/v1"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while not self._closed.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        connection.settimeout(5.0)
        try:
            with connection:
                request = _read_request(connection)
                with self._lock:
                    self.requests.append(request)
                    number = len(self.requests) - 1
                for count, piece in enumerate(self.script(number, request)):
                    if self._closed.wait(self.pause if count else 0):
                        return
                    connection.sendall(piece)
                    self.sent += len(piece)
        except OSError:
            pass  # the client has had enough

    def close(self):
        self._closed.set()
        self._listening.close()
        for thread in self._threads:
            thread.join(10)


def response(body, *headers, status="200 OK"):
    """Return a whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection):
    data = connection.recv(1 << 16)
    if not data:
        raise OSError("closed")
    return data
