"""The embedded history over ClickHouse's HTTP protocol: one guarded SELECT a request, on loopback.

Any ClickHouse client works: `clickhouse_connect.get_client(host=…, port=…)`, `curl`, Grafana. See `storage/guard.py`
for what is answered. The process that serves this holds no key.
"""

import json
import logging
import re
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from lictor.ports import LOOPBACK
from schemas.errors import BadSettings, QueryRefused
from storage.guard import MAX_SQL, Guard

log = logging.getLogger("lictor.sql")

_MINE: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_REFUSED: Final = 497
"""ClickHouse's own code for "not enough privileges": clients know what to make of it."""
_ENGINE_CODE: Final = re.compile(r"Code: (\d{1,6})\.")
"""How the engine's own complaints begin."""


class SqlEndpoint:
    """Serves the guard in threads of its own. `port` 0 chooses a free one; `address` says which."""

    def __init__(self, folder: Path, port: int) -> None:
        self.guard = Guard(folder)
        handler = type("Handler", (_Handler,), {"guard": self.guard})
        try:
            self.server = _Server((LOOPBACK, port), handler)
        except OSError as error:
            self.guard.close()
            raise BadSettings(
                f"the SQL endpoint cannot listen at {LOOPBACK}:{port}: {error.strerror}; set LICTOR_SQL_PORT to another port"
            ) from None
        self.address = f"{LOOPBACK}:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
        self.guard.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that went away before their answer: that is theirs to do. All else goes to the log."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("a request failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    guard: Guard
    protocol_version = "HTTP/1.1"
    server_version = "Lictor"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer `/ping`, and queries given in the address."""
        if urlsplit(self.path).path in ("/ping", "/replicas_status"):
            self._answer(HTTPStatus.OK, b"Ok.\n", "TabSeparated")
            return
        self._query(b"")

    def do_POST(self) -> None:
        """Answer a query given in the body, in the address, or begun in one and ended in the other."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > len(str(MAX_SQL)) or int(length) > MAX_SQL:
            self.close_connection = True
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a query has at most {MAX_SQL} bytes and says its length"
            )
            return
        self._query(self.rfile.read(int(length)))

    def _query(self, body: bytes) -> None:
        if not self._is_local():
            self._refuse(HTTPStatus.FORBIDDEN, "only programs of this machine are answered, not web pages")
            return
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        parts = [asked.get("query", [""])[0], body.decode("utf-8", "replace")]
        sql = "\n".join(part for part in parts if part.strip())
        wanted = self.headers.get("X-ClickHouse-Format") or asked.get("default_format", ["TabSeparated"])[0]
        parameters = {
            name.removeprefix("param_"): values[0] for name, values in asked.items() if name.startswith("param_")
        }
        if not sql:
            self._refuse(HTTPStatus.BAD_REQUEST, "no query was given: POST it, or give it as ?query=")
            return
        try:
            answer, given = self.guard.run(sql, wanted, parameters)
        except QueryRefused as refused:
            self._refuse(HTTPStatus.BAD_REQUEST, str(refused))
        except Exception:
            log.exception("a query failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the query failed inside Lictor; its log says why")
        else:
            self._answer(HTTPStatus.OK, answer, given)

    def _is_local(self) -> bool:
        """Tell whether a program of this machine asks: a browser sends an Origin, a rebound name another Host."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        return host in _MINE and self.headers.get("Origin") is None

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        engine = _ENGINE_CODE.match(reason)
        text = reason if engine else f"Code: {_REFUSED}. DB::Exception: {reason}. (ACCESS_DENIED)"
        code = int(engine[1]) if engine else _REFUSED
        self._answer(status, text.encode("utf-8", "replace") + b"\n", "TabSeparated", code)

    def _answer(self, status: HTTPStatus, body: bytes, given: str, code: int = 0) -> None:
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/plain; charset=UTF-8" if given != "Native" else "application/octet-stream"
        )
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Format", given)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("X-ClickHouse-Server-Display-Name", "lictor")
        self.send_header("X-ClickHouse-Summary", json.dumps({"read_rows": "0", "result_rows": "0"}))
        self.send_header("X-Content-Type-Options", "nosniff")
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server calls
        """Say nothing: queries may hold what must not stand in a log."""
