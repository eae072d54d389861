"""The SQL endpoint answers programs of this machine, in ClickHouse's own protocol, and no web page."""

import http.client
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from lictor.agents import _LIST
from lictor.history import History
from lictor.sql_http import SqlEndpoint
from schemas.errors import BadInput, BadSettings, StoreUnavailable
from storage.guard import MAX_SQL
from storage.store import Store
from storage.tables import rows_of
from tests.unit.storage._rows import origin, stored_steps

AGENT = "http-agent"


@pytest.fixture(scope="module")
def endpoint(store: Store, history: Path) -> Iterator[SqlEndpoint]:
    """Yield an endpoint on a free port, over a real store."""
    served = SqlEndpoint(history, 0)
    served.start()
    yield served
    served.stop()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: str
    headers: Mapping[str, str]


def ask(endpoint: SqlEndpoint, method: str = "GET", path: str = "/", body: str | None = None, **headers: str) -> Answer:
    """Send one request; header names take `_` for `-`."""
    connection = http.client.HTTPConnection(endpoint.address)
    try:
        connection.putrequest(method, path, skip_host="host" in {name.lower() for name in headers})
        if body is not None and "Content_Length" not in headers:
            headers["Content_Length"] = str(len(body.encode()))
        for name, value in headers.items():
            if value:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(None if body is None else body.encode())
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.getheaders()))
    finally:
        connection.close()


def query(sql: str, **more: str) -> str:
    """Return the address of a query."""
    return "/?" + urlencode({"query": sql, **more})


def test_it_listens_on_loopback_alone(endpoint: SqlEndpoint) -> None:
    """The whole network could read what agents did."""
    assert endpoint.server.server_address[0] == "127.0.0.1"
    assert endpoint.address.startswith("127.0.0.1:")


@pytest.mark.parametrize("path", ["/ping", "/ping?x=1", "/replicas_status"])
def test_ping_is_answered(endpoint: SqlEndpoint, path: str) -> None:
    """Monitoring would report a working endpoint as down."""
    assert (answer := ask(endpoint, path=path)).status == 200
    assert answer.body == "Ok.\n"


def test_a_query_is_taken_from_the_address_from_the_body_or_from_both(endpoint: SqlEndpoint) -> None:
    """One of curl, drivers and dashboards could not ask anything."""
    answers = [
        ask(endpoint, path=query("SELECT 7")),
        ask(endpoint, "POST", body="SELECT 7"),
        ask(endpoint, "POST", query("SELECT"), "7"),
        ask(endpoint, "POST", query("SELECT 7"), ""),
    ]
    assert [(answer.status, answer.body) for answer in answers] == [(200, "7\n")] * 4


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost", "localhost:9", "[::1]:5"])
def test_programs_of_this_machine_are_answered(endpoint: SqlEndpoint, host: str) -> None:
    """A dashboard that says `localhost` would be refused."""
    assert ask(endpoint, path=query("SELECT 1"), Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "0"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(endpoint: SqlEndpoint, method: str, host: str) -> None:
    """A web page could point its own name at this machine and read the whole history."""
    answer = ask(endpoint, method, query("SELECT 1"), "" if method == "POST" else None, Host=host)
    assert answer.status == 403
    assert "not web pages" in answer.body


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost", "http://127.0.0.1:3000"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_browser_is_refused(endpoint: SqlEndpoint, method: str, origin: str) -> None:
    """Any page open in the operator's browser could ask the history."""
    answer = ask(endpoint, method, query("SELECT 1"), "" if method == "POST" else None, Origin=origin)
    assert answer.status == 403
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "HEAD"])
def test_other_methods_are_not_there(endpoint: SqlEndpoint, method: str) -> None:
    """A browser's question in advance would be answered with yes."""
    assert ask(endpoint, method, query("SELECT 1")).status == 501


@pytest.mark.parametrize(
    "length", [str(MAX_SQL + 1), "9" * 5000, "-1", "", "x", "1e3", "0x10", "+5"], ids=lambda text: text[:8]
)
def test_a_body_too_long_or_of_unknown_length_is_refused_unread(endpoint: SqlEndpoint, length: str) -> None:
    """One request could fill the memory of the process that archives everything."""
    answer = ask(endpoint, "POST", body="", Content_Length=length)
    assert answer.status == 413
    assert str(MAX_SQL) in answer.body


def test_the_longest_body_is_answered(endpoint: SqlEndpoint) -> None:
    """A long query of a dashboard would be refused although it is allowed."""
    frame = "SELECT length('')"
    sql = frame.replace("''", "'" + "x" * (MAX_SQL - len(frame)) + "'")
    assert len(sql) == MAX_SQL
    assert ask(endpoint, "POST", body=sql).status == 200


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", ""), ("POST", " \n ")])
def test_no_query_is_told(endpoint: SqlEndpoint, method: str, body: str | None) -> None:
    """Somebody who opens the address would see an empty page."""
    answer = ask(endpoint, method, body=body)
    assert answer.status == 400
    assert "no query was given" in answer.body


@pytest.mark.parametrize(
    ("sql", "code", "reason"),
    [
        ("DROP TABLE steps", "497", "only SELECT"),
        ("SELECT 1 INTO OUTFILE 'x'", "497", "INTO OUTFILE"),
        ("SELECT file('/etc/passwd')", "497", "function file is not on the list"),
        ("SELEC 1", "62", "Syntax error"),
        ("SELECT no_such_column FROM steps", "47", "no_such_column"),
        ("SELECT `Code: x`(1)", "497", "function"),
        ("SELECT `Code: 9.`(1)", "497", "function"),
    ],
)
def test_a_refusal_says_why_in_the_words_that_clients_know(
    endpoint: SqlEndpoint, sql: str, code: str, reason: str
) -> None:
    """A driver would show its user a broken connection instead of the reason."""
    answer = ask(endpoint, path=query(sql))
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (400, code)
    assert answer.body.startswith(f"Code: {code}. ")
    assert reason in answer.body


def test_the_format_is_the_one_asked_for(endpoint: SqlEndpoint) -> None:
    """A program would read another format than it gets."""
    asked = [
        (query("SELECT 1 AS x"), "", "TabSeparated", "1\n"),
        (query("SELECT 1 AS x", default_format="JSONEachRow"), "", "JSONEachRow", '{"x":1}\n'),
        (query("SELECT 1 AS x"), "CSVWithNames", "CSVWithNames", '"x"\n1\n'),
        (query("SELECT 1 AS x FORMAT CSV"), "JSONEachRow", "CSV", "1\n"),
    ]
    for path, header, given, body in asked:
        answer = ask(endpoint, path=path, X_ClickHouse_Format=header)
        assert (answer.headers["X-ClickHouse-Format"], answer.body) == (given, body)


def test_parameters_are_taken_as_values(endpoint: SqlEndpoint) -> None:
    """A search for a name with a quote in it would fail, or become part of the query."""
    path = query("SELECT {who:String}, {n:UInt8} + 1", param_who="it's; DROP", param_n="2")
    assert ask(endpoint, path=path).body == "it\\'s; DROP\t3\n"


def test_settings_in_the_address_change_nothing(endpoint: SqlEndpoint) -> None:
    """Any client could lift the limits for itself."""
    sql = "SELECT value FROM system.settings WHERE name = 'max_execution_time'"
    assert ask(endpoint, path=query(sql, max_execution_time="0", readonly="0", session_id="x")).body == "30\n"


def test_answers_tell_browsers_not_to_guess(endpoint: SqlEndpoint) -> None:
    """Text an agent wrote could be run as a page."""
    answer = ask(endpoint, path=query("SELECT '<script>alert(1)</script>'"))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"


def test_many_clients_at_once_each_get_their_own_answer(endpoint: SqlEndpoint) -> None:
    """Two analysts at once would see each other's rows."""
    start = threading.Barrier(8)

    def one(number: int) -> list[str]:
        start.wait()
        sql = f"SELECT {number}, sum(number) FROM numbers({number * 1000})"  # noqa: S608
        return [ask(endpoint, path=query(sql)).body for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        for number, bodies in enumerate(pool.map(one, range(8))):
            assert set(bodies) == {f"{number}\t{sum(range(number * 1000))}\n"}


def test_a_clickhouse_driver_works(endpoint: SqlEndpoint) -> None:
    """Users would need a client of our own."""
    with History(endpoint.address) as history:
        names, rows = history.rows("SELECT {a:String} AS a, {b:Array(UInt8)} AS b", {"a": "it's\n\\x", "b": [1, 2]})
        assert (names, rows) == (["a", "b"], [("it's\n\\x", [1, 2])])
        assert history.number("SELECT count() FROM numbers(5)") == 5


def test_a_driver_shows_the_reason_of_a_refusal(endpoint: SqlEndpoint) -> None:
    """`lictor sql` would end in a driver's stack trace."""
    with History(endpoint.address) as history:
        with pytest.raises(BadInput, match="function file is not on the list"):
            history.rows("SELECT file('/etc/passwd')")
        assert history.number("SELECT 1") == 1


def test_the_list_of_agents_can_be_asked_through_the_guard(endpoint: SqlEndpoint, store: Store) -> None:
    """`lictor agents` would be refused by Lictor's own endpoint."""
    places = [origin("steps", offset, namespace="sql-http") for offset in range(3)]
    store.insert("steps", rows_of("steps", zip(places, stored_steps(AGENT), strict=True))[0], "sql-http")
    with History(endpoint.address) as history:
        names, rows = history.rows(_LIST)
    agents = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    assert (agents[AGENT]["runs"], agents[AGENT]["live_runs"]) == (1, 1)


def test_a_client_that_goes_away_before_its_answer_is_passed_over(
    endpoint: SqlEndpoint, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every closed browser tab would leave a stack trace in the archive's log."""
    handled = threading.Event()
    pass_over = endpoint.server.handle_error

    def noting(request: object, client: object) -> None:
        pass_over(request, client)
        handled.set()

    monkeypatch.setattr(endpoint.server, "handle_error", noting)
    host, _, port = endpoint.address.partition(":")
    client = socket.create_connection((host, int(port)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone at once, with a reset
    sql = quote("SELECT number, sleepEachRow(0.1) FROM numbers(3)")
    client.sendall(f"GET /?query={sql} HTTP/1.1\r\nHost: {endpoint.address}\r\n\r\n".encode())
    client.close()
    assert handled.wait(30)
    assert capfd.readouterr().err == ""


def test_a_mistake_of_ours_is_told_in_the_log(endpoint: SqlEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    """What fails in Lictor itself would be passed over with what clients do."""
    for error in (BrokenPipeError(), ZeroDivisionError()):
        try:
            raise error
        except (BrokenPipeError, ZeroDivisionError):
            endpoint.server.handle_error(None, None)
    assert [record.getMessage() for record in caplog.records] == ["a request failed"]


def test_a_port_that_is_taken_is_told_with_what_to_do(history: Path, endpoint: SqlEndpoint) -> None:
    """The archive would end again and again with a stack trace as its last word."""
    port = int(endpoint.address.rpartition(":")[2])
    with pytest.raises(BadSettings, match="set LICTOR_SQL_PORT to another port") as bad:
        SqlEndpoint(history, port)
    assert str(port) in str(bad.value)


def test_a_stopped_endpoint_answers_nobody(store: Store, history: Path) -> None:
    """After a restart two processes would serve one history."""
    served = SqlEndpoint(history, 0)
    served.start()
    assert ask(served, path="/ping").status == 200
    served.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(served, path="/ping")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        History(served.address)


def test_a_path_is_no_file(endpoint: SqlEndpoint) -> None:
    """The endpoint could be made to hand out files of its machine."""
    for path in ("/../../etc/passwd", "/etc/passwd", "/" + quote("../x"), "/play", "/dashboard"):
        assert ask(endpoint, path=path).status == 400
