"""Other people's SQL on the embedded engine: one SELECT over listed tables and functions, within limits.

`readonly=1` alone does not hold in an embedded engine: `INTO OUTFILE` still writes any file, `file()` reads any, several
statements pass. So the engine's own parser is asked twice before anything runs: `formatQuerySingleLine` takes exactly
one statement and gives it back without comments, `EXPLAIN AST` shows its tree. Every node must be of a kind listed in
`nodes.txt`, every function in `functions.txt`, every table one of ours. What runs is the text that was checked, on a
connection of its own whose limits were set before `readonly=1` closed it for good.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import chdb

from schemas.errors import QueryRefused
from storage.store import DATABASE

FUNCTIONS: Final = frozenset((Path(__file__).parent / "functions.txt").read_text(encoding="ascii").split())
TABLE_FUNCTIONS: Final = frozenset({"numbers", "generateseries", "generate_series"})
SYSTEM_TABLES: Final = frozenset(
    {"system.one", "system.numbers", "system.settings", "system.tables", "system.columns", "system.databases"}
)
FORMATS: Final = frozenset((Path(__file__).parent / "formats.txt").read_text(encoding="ascii").split())
MAX_SQL: Final = 64 * 1024
LIMITS: Final[Mapping[str, object]] = {
    "max_execution_time": 30,
    "max_memory_usage": 2 << 30,
    "max_threads": 1,
    "max_result_rows": 5_000_000,
    "max_result_bytes": 512 << 20,
    "result_overflow_mode": "throw",
    "max_ast_depth": 500,
    "max_ast_elements": 20_000,
    "max_query_size": 1 << 20,
    "max_rows_to_sort": 50_000_000,
    "max_bytes_before_external_sort": 0,
    "max_bytes_before_external_group_by": 0,
    "allow_ddl": 0,
    "allow_introspection_functions": 0,
}

_NODES: Final = frozenset((Path(__file__).parent / "nodes.txt").read_text(encoding="ascii").split())
_COMBINATORS: Final = (
    "if",
    "array",
    "map",
    "distinct",
    "ornull",
    "ordefault",
    "foreach",
    "state",
    "merge",
    "argmin",
    "argmax",
)
_ALIAS: Final = " (alias "
_CHILDREN: Final = " (children "
_MAX_DIGITS: Final = 6
MAX_NAME: Final = 128
"""Characters of a function's name; the longest listed has 40."""
_QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.)*'|(`(?:[^`\\]|\\.)*`)", re.DOTALL)
"""A literal, or a quoted name (group 1), as `formatQuerySingleLine` writes them. Linear: each letter fits one branch."""
_NAMED_LATER: Final = re.compile(r"\{(\w+):[^{}:]*identifier", re.IGNORECASE)
_FORMAT: Final = re.compile(r" FORMAT (\w+|`\w+`)$")
_IN: Final = frozenset(
    {"in", "notin", "globalin", "globalnotin", "nullin", "globalnullin", "notnullin", "globalnotnullin"}
)


@dataclass(slots=True)
class Node:
    """One node of the tree, as `EXPLAIN AST` prints it."""

    kind: str
    rest: str
    children: list["Node"] = field(default_factory=list)

    def walk(self) -> Iterator["Node"]:
        """Yield this node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Checked:
    """A query that may run: the text to run, without its FORMAT, and the format it asked for ("" for none)."""

    sql: str
    format: str


class Guard:
    """Checks and runs queries on a connection of its own. Thread-safe; one query at a time.

    `folder` is the embedded engine's data folder, which this process must already own.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._connection = chdb.connect(str(folder))  # type: ignore[no-untyped-call]  # chdb ships no types
        self._connection.query(f"USE {DATABASE}")
        self._connection.query("SET " + ", ".join(f"{name} = {value!r}" for name, value in LIMITS.items()))
        self._connection.query("SET readonly = 1")

    def run(self, sql: str, default_format: str, parameters: Mapping[str, str] | None = None) -> tuple[bytes, str]:
        """Run a query; return its bytes and their format. Raises `QueryRefused`, with the reason, for what may not run.

        Parameters are in ClickHouse's own escaping, as its HTTP interface takes them.
        """
        with self._lock:
            checked = self.check(sql, parameters)
            wanted = checked.format or default_format
            if wanted not in FORMATS:
                raise QueryRefused(f"format {wanted[:40]!r} is not offered")
            return self._ask(checked.sql, wanted, parameters), wanted

    def check(self, sql: str, parameters: Mapping[str, str] | None = None) -> Checked:
        """Return the query as it may run. Raises `QueryRefused`."""
        if len(sql.encode("utf-8", "replace")) > MAX_SQL:
            raise QueryRefused(f"a query has at most {MAX_SQL} bytes")
        single = self._single(sql)
        check_names(single, parameters)
        tree = self._ask(f"EXPLAIN AST {single}", "JSONCompactEachRow", parameters)
        root = parse_tree([str(json.loads(line)[0]) for line in tree.splitlines()])
        wanted = check_root(root)
        for node in root.walk():
            check_node(node)
        return Checked(_FORMAT.sub("", single), wanted)

    def _single(self, sql: str) -> str:
        """Have the engine parse exactly one statement and write it anew, without comments."""
        answer = self._ask("SELECT formatQuerySingleLine({q:String}) AS q", "JSONEachRow", {"q": escaped(sql)})
        single = str(json.loads(answer)["q"])
        if not single.startswith(("SELECT ", "WITH ", "(")):
            raise QueryRefused("only SELECT is answered here")
        return single

    def _ask(self, sql: str, wanted: str, parameters: Mapping[str, str] | None) -> bytes:
        try:
            return bytes(self._connection.query(sql, wanted, params=dict(parameters or {})).bytes() or b"")
        except RuntimeError as error:
            # What a query wrote before it failed stays in the connection and would stand before the next answer.
            self._connection.query("SELECT 1", "Null")
            raise QueryRefused(_reason(str(error))) from None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def escaped(text: str) -> str:
    """Return text as the engine reads it from a parameter of type String."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\0", "\\0")


def check_names(single: str, parameters: Mapping[str, str] | None = None) -> None:
    """Raise where a name holds an escape, as a line break does: `EXPLAIN AST` prints names raw, so it would forge lines."""
    if "\n" in single or any("\\" in (found[1] or "") for found in _QUOTED.finditer(single)):
        raise QueryRefused("names with line breaks, backslashes or back-quotes in them are not taken")
    for found in _NAMED_LATER.finditer(single):
        value = (parameters or {}).get(found[1], "")
        if "\\" in value or not value.isprintable():
            raise QueryRefused("a name given as a parameter must be plain")


def parse_tree(lines: list[str]) -> Node:
    """Turn the indented lines of `EXPLAIN AST` into a tree. Raises `QueryRefused` for a line of unknown shape."""
    nodes: list[tuple[Node, int]] = []
    path: list[tuple[int, Node]] = []
    for line in lines:
        indent, node, children = read_line(line)
        while path and path[-1][0] >= indent:
            path.pop()
        if path:
            path[-1][1].children.append(node)
        elif nodes:
            raise QueryRefused("only one statement is answered")
        path.append((indent, node))
        nodes.append((node, children))
    if not nodes:
        raise QueryRefused("the query is empty")
    if any(len(node.children) != children for node, children in nodes):
        raise QueryRefused("the query could not be understood")
    return nodes[0][0]


def read_line(line: str) -> tuple[int, Node, int]:
    """Return a line's indent, its node, and how many children the engine says it has: `KIND NAME (alias A) (children N)`.

    Name and alias may hold anything. What could be read in two ways is refused; a literal's text is not looked at.
    """
    text = line.lstrip(" ")
    indent = len(line) - len(text)
    kind = text.partition(" ")[0]
    if kind == "Literal":
        return indent, Node(kind, ""), 0
    text, children = _split_children(text)
    text, alias, rest = text.partition(_ALIAS)
    if not kind.isidentifier() or (alias and (_ALIAS in rest or not rest.endswith(")"))):
        raise QueryRefused("the query could not be understood")
    return indent, Node(kind, text.partition(" ")[2]), children


def _split_children(text: str) -> tuple[str, int]:
    """Return a line without its `(children N)`, and N. It stands last, so nothing in a name can take its place."""
    head, found, tail = text.rpartition(_CHILDREN)
    digits = tail.removesuffix(")")
    if found and digits != tail and digits.isdecimal() and len(digits) <= _MAX_DIGITS:
        return head, int(digits)
    return text, 0


def check_root(root: Node) -> str:
    """Return the FORMAT the query names ("" for none). Raises unless it is a bare SELECT: no output, no settings."""
    if root.kind not in ("SelectWithUnionQuery", "SelectIntersectExceptQuery"):
        raise QueryRefused("only SELECT is answered here")
    wanted = ""
    for child in root.children:
        if child.kind == "Identifier" and not wanted:
            wanted = child.rest
        elif child.kind == "Set":
            raise QueryRefused("SETTINGS are not taken here: limits are the endpoint's own")
        elif child.kind not in ("ExpressionList", "SelectQuery", "SelectWithUnionQuery"):
            raise QueryRefused("INTO OUTFILE and other output clauses are not answered")
    return wanted


def check_node(node: Node) -> None:
    """Raise `QueryRefused` unless the node is of a listed kind and names only listed things."""
    if node.kind == "Set":
        raise QueryRefused("SETTINGS are not taken here: limits are the endpoint's own")
    if node.kind not in _NODES:
        raise QueryRefused(f"{node.kind} is not answered here")
    if node.kind == "TableIdentifier":
        check_table(node.rest)
    elif node.kind == "TableExpression":
        for child in node.children:
            if child.kind == "Function" and child.rest.lower() not in TABLE_FUNCTIONS:
                raise QueryRefused(f"table function {child.rest} is not on the list")
    elif node.kind == "QueryParameter" and "identifier" in node.rest.lower():
        raise QueryRefused("parameters of type Identifier are not taken: they would name what was not checked")
    elif node.kind == "Function":
        check_function(node)


def check_table(name: str) -> None:
    """Raise unless a table is one of the history's, or a listed system table. CTEs have no dot."""
    if "." in name and not name.startswith(f"{DATABASE}.") and name not in SYSTEM_TABLES:
        raise QueryRefused(f"table {name} is not on the list")


def check_function(node: Node) -> None:
    """Raise unless the function is listed; a table that stands right of IN is checked as a table."""
    name = node.rest.lower()
    if len(name) > MAX_NAME:
        raise QueryRefused("function name is too long")
    if not _is_listed(name) and name not in TABLE_FUNCTIONS:
        raise QueryRefused(f"function {node.rest} is not on the list")
    if name in _IN:
        for arguments in node.children:
            for child in arguments.children[1:]:
                if child.kind == "Identifier":
                    check_table(child.rest)


def _is_listed(name: str) -> bool:
    """Listed as it stands, or an aggregate function with combinators at its end (`countIf`, `uniqExactIfOrNull`)."""
    while name not in FUNCTIONS:
        suffix = next((suffix for suffix in _COMBINATORS if name.endswith(suffix) and name != suffix), None)
        if suffix is None:
            return False
        name = name[: -len(suffix)]
    return True


def _reason(message: str) -> str:
    """Return the engine's complaint without our own query around it."""
    return message.split(": In scope SELECT formatQuerySingleLine", maxsplit=1)[0][:2000]
