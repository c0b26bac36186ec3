"""HTTP requests to a chat endpoint, bounded in time and size.

The server is not trusted. A request ends at its deadline even if bytes keep arriving, at most `MAX_BYTES` of a response are
read or decompressed, and redirects are not followed, since they would send the prompt and the key to another host. HTTP
client libraries limit the time of a single read only.
"""

import base64
import http.client
import io
import json
import os
import socket
import ssl
import time
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import certifi

from ssae_lens.base.reading import parse_json

MAX_BYTES = 2 << 20
# For the status line, the headers and the framing of chunks.
MAX_OVERHEAD = 1 << 20
DEFAULT_URL = "https://api.openai.com/v1"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Reply:
    """A response of an endpoint.

    Attributes
    ----------
    status
        The HTTP status.
    headers
        The headers, with names in lower case.
    text
        The body.
    """

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return the body as JSON, or raise a ValueError."""
        return parse_json(self.text, "the response")


class Endpoint:
    """A chat endpoint: its address and the credentials.

    Parameters
    ----------
    base_url
        Such as ``http://localhost:8000/v1``. A user name and password in it are sent instead of the key.
    key
        Sent as a bearer token unless empty.

    Attributes
    ----------
    name
        Host and path, without user name and password.
    secrets
        The key and passwords, in all forms in which a server might quote them.
    """

    def __init__(self, base_url: str, key: str = "") -> None:
        self._url = _checked(base_url)
        key = key.strip()
        if key and not (key.isascii() and key.isprintable()):
            raise ValueError("The key has characters that cannot be sent in an HTTP header; set it again.")
        port = "" if self._port == PORTS[self._url.scheme] else f":{self._port}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.name = f"{host}{port}{self._url.path.rstrip('/')}/"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "ssae-lens"}
        self._proxy = _proxy_of(self._url.scheme, self._host)
        secrets = [key]
        for url in (self._url, self._proxy):
            if url is not None and url.password:
                secrets += [url.password, unquote(url.password), _basic(url)]
        if self._url.username is not None:
            self._headers["Authorization"] = f"Basic {_basic(self._url)}"
        elif key:
            self._headers["Authorization"] = f"Bearer {key}"
        self.secrets = [secret for secret in secrets if secret]
        self._tls = _tls() if self._url.scheme == "https" else None

    def post(self, path: str, options: Mapping[str, Any], seconds: float) -> Reply:
        """Send a JSON object and return the response.

        Parameters
        ----------
        path
            Below the base URL.
        options
            The object; ``extra_headers``, ``extra_query`` and ``extra_body`` in it are sent as such.
        seconds
            Time limit from the connection to the last byte.

        Raises
        ------
        OSError
            If there is no complete response in that time.
        ValueError
            If the response is too large or no HTTP.
        """
        deadline = time.monotonic() + seconds
        body = dict(options)
        headers = {**self._headers, **(body.pop("extra_headers", None) or {})}
        query = urlencode(
            [*parse_qsl(self._url.query, keep_blank_values=True), *(body.pop("extra_query", None) or {}).items()]
        )
        body |= body.pop("extra_body", None) or {}
        target = f"{self._url.path.rstrip('/')}/{path}" + (f"?{query}" if query else "")
        connection = self._connection(seconds)
        if self._proxy is not None and self._tls is None:
            target = f"http://{self.name.partition('/')[0]}{target}"
            headers |= _proxy_headers(self._proxy)
        opened: Any = None
        try:
            connection.connect()
            opened = connection.sock
            connection.sock = _BoundedSocket(opened, deadline)
            connection.request("POST", target, json.dumps(body).encode(), headers)
            return _read(connection.getresponse())
        except (http.client.RemoteDisconnected, http.client.IncompleteRead):
            raise ConnectionError("the connection was closed before the response was whole") from None
        except http.client.HTTPException as error:
            raise ValueError(f"the response is not HTTP ({type(error).__name__})") from None
        finally:
            connection.close()
            if opened is not None:
                opened.close()

    def _connection(self, seconds: float) -> Any:
        to = (self._host, self._port) if self._proxy is None else (self._proxy.hostname or "", self._proxy.port or 80)
        if self._tls is None:
            return http.client.HTTPConnection(*to, timeout=seconds)
        connection = http.client.HTTPSConnection(*to, timeout=seconds, context=self._tls)
        if self._proxy is not None:
            connection.set_tunnel(self._host, self._port, _proxy_headers(self._proxy))
        return connection

    @property
    def _host(self) -> str:
        return self._url.hostname or ""

    @property
    def _port(self) -> int:
        return self._url.port or PORTS[self._url.scheme]


class _BoundedSocket:
    """The methods of a socket that http.client uses, with a deadline and a limit of bytes."""

    def __init__(self, opened: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = opened, deadline

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._socket.settimeout(_until(self._deadline))
            left = left[self._socket.send(left[: 1 << 14]) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._socket, self._deadline))

    def close(self) -> None:
        """Leave the socket open, since http.client closes it before the response is read."""


class _BoundedReader(io.RawIOBase):
    def __init__(self, opened: socket.socket, deadline: float) -> None:
        super().__init__()
        self._socket, self._deadline, self._left = opened, deadline, MAX_BYTES + MAX_OVERHEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_until(self._deadline))
        count = self._socket.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise _too_large()
        return count


def _until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out: there was no complete response within the time limit")
    return left


def _read(response: http.client.HTTPResponse) -> Reply:
    raw = response.read(MAX_BYTES + 1)
    encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        try:
            # Accepts zlib and gzip headers; decompression stops one byte above the limit.
            raw = zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(raw, MAX_BYTES + 1)
        except zlib.error:
            raise ValueError(f"the response is not {encoding}, as it says") from None
    elif encoding != "identity":
        raise ValueError(f"the response is encoded as {encoding[:40]!r}, which was not asked for")
    if len(raw) > MAX_BYTES:
        raise _too_large()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, raw.decode("utf-8", "replace"))


def _too_large() -> ValueError:
    return ValueError(f"the response is larger than {MAX_BYTES >> 20} MiB")


def _checked(base_url: str) -> SplitResult:
    address = base_url.strip()
    try:
        url = urlsplit(address)
        usable = url.scheme in PORTS and bool(url.hostname) and url.port != 0 and address.isprintable()
    except ValueError:
        url, usable = None, False
    if url is None or not usable:
        # The URL may contain a password and is not shown.
        raise ValueError(
            "base_url is not the address of an HTTP endpoint; give one such as 'http://localhost:8000/v1'."
        )
    return url


def _proxy_of(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy of the environment for a host."""
    proxies = urllib.request.getproxies()
    address = proxies.get(scheme) or proxies.get("all")
    if not address or urllib.request.proxy_bypass(host):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ValueError(
            f"The environment names a proxy of the kind {proxy.scheme!r} for {host}; only HTTP proxies can be used. Add the "
            "host to NO_PROXY, or name an HTTP proxy."
        )
    return proxy


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    return {"Proxy-Authorization": f"Basic {_basic(proxy)}"} if proxy.username is not None else {}


def _basic(url: SplitResult) -> str:
    text = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return base64.b64encode(text.encode()).decode()


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        # Some builds of Python come without certificates.
        context.load_verify_locations(certifi.where())
    return context
