"""The guard lets analysts ask the history anything, and lets nobody reach anything else through it."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from schemas.errors import QueryRefused
from storage.guard import FORMATS, LIMITS, Guard, check_root, escaped, parse_tree, read_line
from storage.store import Store
from storage.tables import rows_of
from tests.unit.storage._honest import HONEST
from tests.unit.storage._hostile import HOSTILE, NAMED_LATER
from tests.unit.storage._rows import AGENT, origin, stored_finding, stored_steps

HOSTILE_CASES = [
    pytest.param(query, id=f"{aim}: {query[:60]!a}") for aim, queries in HOSTILE.items() for query in queries
]


@pytest.fixture
def loot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in a folder with one secret file; afterwards nothing else may be there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("hush", encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["below", "secret"]


@pytest.fixture(scope="module")
def analyst(store: Store, guard: Guard) -> Guard:
    """Return the guard over a history in which one agent made three steps, the last of them a finding."""
    for table, values in (("steps", stored_steps()), ("findings", [stored_finding()])):
        rows, refused = rows_of(table, [(origin(table, i), value) for i, value in enumerate(values)])
        assert not refused
        store.insert(table, rows, f"guard-{table}")
    return guard


def ask(guard: Guard, sql: str, **parameters: str) -> str:
    """Return an answer as text."""
    return guard.run(sql, "TSV", parameters)[0].decode()


def test_there_are_enough_hostile_queries() -> None:
    """A shrunken list would let a user believe in a guard that is hardly tried."""
    assert len(set(chain.from_iterable(HOSTILE.values()))) >= 250
    assert len({query for query, _ in HONEST}) >= 50


@pytest.mark.parametrize("query", HOSTILE_CASES)
def test_a_hostile_query_is_refused_and_leaves_nothing(guard: Guard, loot: Path, query: str) -> None:
    """An analyst's query could write files, read secrets or change the history of the machine that serves it."""
    sql = query.replace("{out}", str(loot / "loot")).replace("{secret}", str(loot / "secret"))
    with pytest.raises(QueryRefused) as refused:
        guard.run(sql, "TSV", {"p": "steps"})
    assert "hush" not in str(refused.value)
    assert ask(guard, "SELECT 1") == "1\n"


@pytest.mark.parametrize(("query", "value"), NAMED_LATER)
def test_a_parameter_cannot_name_what_was_not_checked(guard: Guard, loot: Path, query: str, value: str) -> None:
    """A table named by a parameter would be read although the text of the query looks harmless."""
    with pytest.raises(QueryRefused):
        guard.run(query, "TSV", {"p": value})
    assert ask(guard, "SELECT 1") == "1\n"


@pytest.mark.parametrize(("query", "answer"), HONEST, ids=[query[:60] for query, _ in HONEST])
def test_an_honest_query_is_answered(analyst: Guard, query: str, answer: str) -> None:
    """An analyst would be refused an everyday question, or told something false."""
    assert ask(analyst, query) == answer + "\n"


@pytest.mark.parametrize("piece", [" (alias ", ") (children 1)", " (alias x) (children 1)", "`", " FORMAT x"])
def test_a_long_text_that_looks_like_the_tree_is_only_text(guard: Guard, piece: str) -> None:
    """One analyst's question would keep the endpoint, and the archive beside it, busy for minutes."""
    text = piece * (60_000 // len(piece))
    assert ask(guard, f"SELECT length('{text}') AS n, ['{piece}'] = ['{piece}']") == f"{len(text)}\t1\n"
    assert ask(guard, "SELECT length({p:String})", p=text) == f"{len(text)}\n"


@pytest.mark.parametrize("name", ["a b", "a (b)", "f(x) (children)", "a'b", 'a"b', "é", "x.y", "(alias)"])
def test_an_unusual_name_is_taken(guard: Guard, name: str) -> None:
    """A dashboard that names its columns after what they compute would be refused."""
    assert ask(guard, f"SELECT `{name}` FROM (SELECT 7 AS `{name}`) AS `t {name}`") == "7\n"  # noqa: S608


@pytest.mark.parametrize(
    ("line", "kind", "rest", "children"),
    [
        ("  Function file (alias x) (children 1)", "Function", "file", 1),
        ("Function file (alias a) (children 7)) (children 1)", "Function", "file", 1),
        ("Subquery (alias s) (children 1)", "Subquery", "", 1),
        ("Literal 'x (alias y' (children 9)", "Literal", "", 0),
        ("TableIdentifier a b.c d (alias (children)", "TableIdentifier", "a b.c d", 0),
        ("Identifier x (children 12345678)", "Identifier", "x (children 12345678)", 0),
    ],
)
def test_no_name_hides_what_stands_before_it(line: str, kind: str, rest: str, children: int) -> None:
    """A query could call a function of another name than the one that was looked up."""
    indent, node, counted = read_line(line)
    assert (indent, node.kind, node.rest, counted) == (len(line) - len(line.lstrip()), kind, rest, children)


@pytest.mark.parametrize(
    "line", ["", "?", "Function f (alias x", "Function f (alias x (alias y)", "A::B x", "\tFunction f"]
)
def test_a_line_that_could_be_read_in_two_ways_is_refused(line: str) -> None:
    """What is checked would not be what runs."""
    with pytest.raises(QueryRefused, match="understood"):
        read_line(line)


@pytest.mark.parametrize(
    "lines",
    [["SelectQuery (children 2)", " Identifier a"], ["SelectQuery", " Identifier a"], ["Identifier a (children 1)"]],
)
def test_a_tree_whose_counts_do_not_fit_is_refused(lines: list[str]) -> None:
    """A forged line could move a table to where no table is looked for."""
    with pytest.raises(QueryRefused, match="understood"):
        parse_tree(lines)


def test_the_name_of_a_function_is_bounded(guard: Guard) -> None:
    """Looking for endings of an endless name would keep the endpoint busy."""
    with pytest.raises(QueryRefused, match="too long"):
        ask(guard, f"SELECT count{'If' * 30_000}(1)")


@pytest.mark.parametrize("wanted", sorted(FORMATS))
def test_every_listed_format_is_answered_asked_for_either_way(guard: Guard, wanted: str) -> None:
    """A dashboard would get another format than it can read."""
    by_clause, given = guard.run(f"SELECT 1 AS x FORMAT {wanted}", "TSV")
    by_default, default = guard.run("SELECT 1 AS x", wanted)
    assert (given, default) == (wanted, wanted)
    assert bool(by_clause) == bool(by_default) == (wanted != "Null")


@pytest.mark.parametrize("wanted", ["TSV", "JSON", "JSONEachRow", "Native", "Parquet", "Pretty", "RowBinary"])
def test_a_query_that_fails_half_way_leaves_nothing_in_the_next_answer(guard: Guard, wanted: str) -> None:
    """One user would read part of another user's answer at the head of their own."""
    with pytest.raises(QueryRefused, match="Division by zero"):
        guard.run("SELECT intDiv(1, number - 100000) FROM numbers(200000)", wanted)
    assert ask(guard, "SELECT 'mine'") == "mine\n"


def test_a_format_that_is_not_listed_is_refused(guard: Guard) -> None:
    """Formats that read schema files or run templates would be reachable by a header."""
    with pytest.raises(QueryRefused, match="not offered"):
        guard.run("SELECT 1", "Template")


@pytest.mark.parametrize(
    "text",
    ["plain", "it's", '"quoted"', "a\nb", "a\tb", "back\\slash", "nul\0", "é 漢 🙂", "'; DROP TABLE steps; --", ""],
)
def test_a_text_parameter_arrives_as_it_was_given(guard: Guard, text: str) -> None:
    """A search for an agent with a quote or a line break in its name would find nothing or fail."""
    answer = ask(guard, "SELECT hex({p:String})", p=escaped(text))
    assert bytes.fromhex(answer.strip()).decode() == text


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [
        ("UInt64", "42", "42"),
        ("Array(String)", "['a','it\\'s']", "['a','it\\'s']"),
        ("Array(UInt8)", "[1,2]", "[1,2]"),
        ("Nullable(Int8)", "\\N", "\\N"),
        ("Date", "2026-01-02", "2026-01-02"),
        ("Map(String, UInt8)", "{'a':1}", "{'a':1}"),
        ("Identifier", "number", "0"),
    ],
)
def test_parameters_of_other_types_are_taken(guard: Guard, kind: str, given: str, shown: str) -> None:
    """A dashboard with a list or a date as its variable would not work."""
    assert ask(guard, f"SELECT {{p:{kind}}} FROM numbers(1)", p=given) == shown + "\n"  # noqa: S608


def test_limits_and_readonly_are_in_force(guard: Guard) -> None:
    """One careless query could take the memory of the process that archives everything."""
    rows = dict(line.split("\t") for line in ask(guard, "SELECT name, value FROM system.settings").splitlines())
    assert rows["readonly"] == "1"
    assert {name: rows[name] for name in LIMITS} == {name: str(value) for name, value in LIMITS.items()}


def test_a_query_of_the_most_bytes_is_answered_and_one_byte_more_is_not(guard: Guard) -> None:
    """A bound that moved would refuse long queries of dashboards, or let the parser be flooded."""
    frame = len("SELECT length('')")
    assert ask(guard, f"SELECT length('{'x' * (64 * 1024 - frame)}')") == f"{64 * 1024 - frame}\n"
    with pytest.raises(QueryRefused, match="at most 65536 bytes"):
        ask(guard, f"SELECT length('{'x' * (64 * 1024 - frame + 1)}')")


@pytest.mark.parametrize(
    "failing",
    [
        "SELECT number FROM numbers(6000000)",
        "SELECT toDate(concat('2026-01-', if(number = 900000, 'x', '01'))) FROM numbers(1000000)",
    ],
)
def test_what_a_failed_query_wrote_is_not_in_the_next_answer(guard: Guard, failing: str) -> None:
    """One analyst would be shown rows of another's query as if they were the answer to his own."""
    with pytest.raises(QueryRefused):
        ask(guard, failing)
    assert ask(guard, "SELECT 42") == "42\n"


def test_what_was_checked_is_what_runs(guard: Guard) -> None:
    """A comment that reads one way for the check and another for the engine would carry a second meaning."""
    checked = guard.check("select /* x */ 1 -- y\n as one format CSV")
    assert (checked.sql, checked.format) == ("SELECT 1 AS one", "CSV")


@pytest.mark.parametrize("lines", [[], ["?"], ["SelectQuery", "SelectQuery"]])
def test_a_tree_of_unknown_shape_is_refused(lines: list[str]) -> None:
    """An upgrade of the engine that prints trees in another way must close the endpoint, not open it."""
    with pytest.raises(QueryRefused):
        parse_tree(lines)


def test_a_root_that_is_no_select_is_refused() -> None:
    """A statement that the formatter makes look like a SELECT would run."""
    with pytest.raises(QueryRefused, match="only SELECT"):
        check_root(parse_tree(["InsertQuery"]))


def test_the_history_is_as_it_was(analyst: Guard) -> None:
    """After all this an auditor must still find every step and no other."""
    assert (
        ask(
            analyst,
            "SELECT groupArray(seq) FROM (SELECT seq FROM steps "
            "WHERE agent_id = {a:String} AND kafka_topic = 'guard.steps' ORDER BY seq)",
            a=AGENT,
        )
        == "[1,2,3]\n"
    )
