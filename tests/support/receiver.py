"""A receiver on this machine that answers from a queue, and keeps what it is sent."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    status: int = 202
    body: str = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Receiver:
    """`replies` are given in their order, then 202 for ever."""

    address: str
    replies: list[Reply] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.methods.append("POST")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append(json.loads(body))
            receiver.headers.append(dict(self.headers))
            self._answer(receiver.replies.pop(0) if receiver.replies else Reply())

        def do_GET(self) -> None:
            receiver.methods.append("GET")
            self._answer(Reply(200))

        def _answer(self, reply: Reply) -> None:
            content = reply.body.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.address = f"http://127.0.0.1:{server.server_port}/hook/s3cretpath"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
