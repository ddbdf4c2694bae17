"""Servers of tests that answer as some servers do, and note what they are asked."""

import contextlib
import http.server
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Web:
    """Objects by the very text of their requests, and how they are served.

    Parameters
    ----------
    tag
        Makes the ETag of an object; None where there is none.
    refused
        Methods that are answered with ``refusal``.
    refuses_match
        If-Match is answered with 412, whatever it says.
    modified
        Last-Modified of all objects.
    """

    objects: dict[str, bytes]
    tag: Callable[[bytes], str | None] = lambda data: f'"{hash(data):x}"'
    refused: tuple[str, ...] = ()
    refusal: int = 403
    refuses_match: bool = False
    modified: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    def get_header(self, name):
        """Return what requests have said by a header."""
        return [headers.get(name.lower(), "") for _, _, headers in self.asked]


@contextlib.contextmanager
def serve(objects, **options):
    """Give a server of objects, by their paths and queries as they are sent."""
    web = Web(objects, **options)
    handler = type("Handler", (WebHandler,), {"web": web})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield web
        server.shutdown()
        thread.join()


class WebHandler(http.server.BaseHTTPRequestHandler):
    """Answer for ``serve``: ranges, ETags, and puts as of S3."""

    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_):
        pass

    def do_GET(self):
        web = self.web
        headers = {name.lower(): value for name, value in self.headers.items()}
        web.asked.append((self.command, self.path, headers))
        data = web.objects.get(self.path)
        if self.command in web.refused:
            return self.reply(web.refusal)
        if data is None:
            return self.reply(404)
        tag = web.tag(data)
        match = headers.get("if-match")
        if match and (web.refuses_match or match != tag or match.startswith("W/")):
            return self.reply(412)
        more = {"ETag": tag, "Last-Modified": web.modified}
        if "range" not in headers:
            return self.reply(200, data, more)
        first, last = headers["range"].removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1]
        if not part:
            return self.reply(416)
        end = int(first) + len(part) - 1
        return self.reply(
            206, part, more | {"Content-Range": f"bytes {first}-{end}/{len(data)}"}
        )

    do_HEAD = do_GET

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.web.asked.append((self.command, self.path, headers))
        if "if-none-match" in headers and self.path in self.web.objects:
            return self.reply(412)
        self.web.objects[self.path] = data
        return self.reply(200, b"", {"ETag": self.web.tag(data)})

    def reply(self, status, data=b"", more=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (more or {}).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
