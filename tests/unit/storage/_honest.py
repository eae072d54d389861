"""Honest queries for the guard: what analysts and dashboards ask of the history."""

from typing import Final

HONEST: Final = (
    ("SELECT 1", "1"),
    ("SELECT 1;", "1"),
    ("select 1 as one", "1"),
    ("  SELECT /* a comment; with a semicolon */ 1 -- and another", "1"),
    ("SELECT 'INTO OUTFILE; SELECT 2'", "INTO OUTFILE; SELECT 2"),
    ("SELECT $$it's; quoted$$", "it\\'s; quoted"),
    ("FROM numbers(2) SELECT number", "0\n1"),
    ("(SELECT 1)", "1"),
    ("SELECT count() FROM steps WHERE agent_id = 'analyst-agent'", "3"),
    ("SELECT count() FROM lictor.steps WHERE agent_id = 'analyst-agent'", "3"),
    ("SELECT count(*), uniqExact(run_id) FROM steps PREWHERE agent_id = 'analyst-agent'", "3\t1"),
    ("SELECT seq FROM steps WHERE agent_id = 'analyst-agent' ORDER BY seq DESC LIMIT 1 OFFSET 1", "2"),
    ("SELECT DISTINCT kind FROM steps WHERE agent_id = 'analyst-agent' ORDER BY kind", "message\ntool_call"),
    (
        "SELECT kind, count() FROM steps WHERE agent_id = 'analyst-agent' GROUP BY kind HAVING count() > 1",
        "tool_call\t2",
    ),
    ("SELECT s.seq FROM steps s JOIN findings f ON s.step_id = f.step_id WHERE s.agent_id = 'analyst-agent'", "3"),
    (
        (
            "SELECT s.seq, f.severity FROM steps AS s LEFT JOIN findings AS f USING step_id "
            "WHERE s.agent_id = 'analyst-agent' ORDER BY s.seq"
        ),
        "1\t\n2\t\n3\thigh",
    ),
    ("SELECT count() FROM steps s ANTI JOIN findings f USING step_id WHERE agent_id = 'analyst-agent'", "2"),
    ("SELECT seq FROM steps WHERE step_id IN (SELECT step_id FROM findings WHERE agent_id = 'analyst-agent')", "3"),
    ("SELECT steps, tool_calls, ended FROM runs WHERE agent_id = 'analyst-agent'", "3\t2\t0"),
    (
        "WITH calls AS (SELECT * FROM steps WHERE kind = 'tool_call') SELECT count() FROM calls WHERE agent_id = 'analyst-agent'",
        "2",
    ),
    ("WITH 'analyst-agent' AS who SELECT max(seq) FROM steps WHERE agent_id = who", "3"),
    ("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT sum(i) FROM n", "10"),
    (
        (
            "SELECT seq, row_number() OVER (PARTITION BY kind ORDER BY seq) FROM steps WHERE agent_id = 'analyst-agent' "
            "ORDER BY seq"
        ),
        "1\t1\n2\t1\n3\t2",
    ),
    ("SELECT number, lagInFrame(number) OVER (ORDER BY number) FROM numbers(3)", "0\t0\n1\t0\n2\t1"),
    ("SELECT sum(number) OVER w FROM numbers(3) WINDOW w AS (ORDER BY number)", "0\n1\n3"),
    ("SELECT arrayMap(x -> x * 2, [1, 2]), arrayFilter(x -> x > 1, [1, 2])", "[2,4]\t[2]"),
    ("SELECT arrayJoin([3, 4]) AS x ORDER BY x", "3\n4"),
    ("SELECT x FROM (SELECT [1, 2] AS xs) ARRAY JOIN xs AS x", "1\n2"),
    ("SELECT groupArray(tool) FROM steps WHERE agent_id = 'analyst-agent' AND tool != ''", "['mail.send','mail.send']"),
    (
        "SELECT JSONExtractString(arguments, 'to') FROM steps WHERE agent_id = 'analyst-agent' AND seq = 2",
        "bob@example.org",
    ),
    ("SELECT JSONHas('{\"a\":1}', 'a'), JSONExtractInt('{\"a\":7}', 'a'), JSONExtractKeys('{\"a\":1}')", "1\t7\t['a']"),
    ("SELECT JSONExtractArrayRaw('[1,{}]')", "['1','{}']"),
    ("SELECT tupleElement(gate, 'verdict') FROM steps WHERE agent_id = 'analyst-agent' AND seq = 2", "allow"),
    ("SELECT gate.verdict FROM steps WHERE agent_id = 'analyst-agent' AND seq = 2", "allow"),
    (
        "SELECT countIf(kind = 'tool_call'), sumIf(seq, seq > 1), maxIf(seq, 1) FROM steps WHERE agent_id = 'analyst-agent'",
        "2\t5\t3",
    ),
    ("SELECT maxIfOrNull(number, number > 9), sumOrDefault(number) FROM numbers(3)", "\\N\t3"),
    ("SELECT quantileTDigest(0.5)(number), quantilesExact(0.5, 0.9)(number) FROM numbers(101)", "50\t[50,90]"),
    ("SELECT argMax(kind, seq), topK(1)(kind) FROM steps WHERE agent_id = 'analyst-agent'", "tool_call\t['tool_call']"),
    ("SELECT sequenceMatch('(?1)(?2)')(toDateTime(number), number = 0, number = 1) FROM numbers(2)", "1"),
    ("SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2) ORDER BY x", "1\n2"),
    ("SELECT * FROM (SELECT 1 AS x UNION DISTINCT SELECT 1)", "1"),
    ("SELECT 1 INTERSECT SELECT 1", "1"),
    ("SELECT * FROM (SELECT number FROM numbers(3) EXCEPT SELECT 1) ORDER BY number", "0\n2"),
    ("SELECT multiIf(1 = 2, 'a', 'b'), CASE WHEN 1 THEN 'x' ELSE 'y' END, if(0, 1, 2)", "b\tx\t2"),
    (
        "SELECT toStartOfHour(toDateTime('2026-01-02 03:04:05', 'UTC')), formatDateTime(toDateTime(0, 'UTC'), '%Y')",
        "2026-01-02 03:00:00\t1970",
    ),
    ("SELECT now() > toDateTime('2020-01-01 00:00:00') AND today() > toDate('2020-01-01')", "1"),
    ("SELECT toDate('2026-01-31') + INTERVAL 1 DAY", "2026-02-01"),
    ("SELECT match('abc', '^a'), extract('id=42', '([0-9]+)'), replaceRegexpAll('a1', '[0-9]', '#')", "1\t42\ta#"),
    ("SELECT splitByChar(',', 'a,b'), upper('x'), concat('a', 'b'), 'a' || 'b'", "['a','b']\tX\tab\tab"),
    ("SELECT CAST('7' AS UInt8), '7'::Int32, toUInt64('7'), toTypeName(1.5)", "7\t7\t7\tFloat64"),
    ("SELECT map('a', 1)['a'], mapKeys(map('a', 1)), tuple(1, 'x').2", "1\t['a']\tx"),
    (
        "SELECT number % 2 AS odd, sum(number) FROM numbers(4) GROUP BY odd WITH TOTALS ORDER BY odd",
        "0\t2\n1\t4\n\n0\t6",
    ),
    (
        "SELECT number % 2 AS odd, count() FROM numbers(4) GROUP BY ROLLUP(odd) ORDER BY count(), odd",
        "0\t2\n1\t2\n0\t4",
    ),
    ("SELECT number FROM numbers(10) WHERE number BETWEEN 3 AND 4 OR number IN (9)", "3\n4\n9"),
    ("SELECT number FROM numbers(3) ORDER BY number LIMIT 1 BY number % 2", "0\n1"),
    ("SELECT * EXCEPT (b) FROM (SELECT 1 AS a, 2 AS b)", "1"),
    ("SELECT COLUMNS('^a') FROM (SELECT 1 AS a, 2 AS b)", "1"),
    ("SELECT EXISTS (SELECT 1 FROM findings WHERE agent_id = 'analyst-agent')", "1"),
    ("SELECT count() > 10 FROM system.columns WHERE database = 'lictor' AND table = 'steps'", "1"),
    ("SELECT name FROM system.tables WHERE database = 'lictor' AND name = 'steps'", "steps"),
    ("SELECT value FROM system.settings WHERE name = 'readonly'", "1"),
    ("SELECT dummy FROM system.one", "0"),
)
"""Queries of analysts and dashboards, with their answers as tab-separated values."""
