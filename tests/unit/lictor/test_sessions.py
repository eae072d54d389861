"""Recorded sessions become steps: whole, in order, cut as the SDK cuts, and without the labels."""

import json
from pathlib import Path
from typing import Any

import pytest

from lictor.sessions import Session, count_sessions, read_sessions, read_tools, recorded_policy
from lictor_agent.wire import MAX_BODY, PREVIEW
from schemas import ids
from schemas.errors import BadInput
from schemas.step import DeclaredTool, content, encode_step, read_step
from tests.unit.lictor._recorded import answered, attack, called, honest, said, session, write


def only(tmp_path: Path, recorded: dict[str, Any], **tools: tuple[DeclaredTool, ...]) -> Session:
    """Return one recorded session as read from a file."""
    (found,) = read_sessions(write(tmp_path / "s.jsonl", [recorded]), tools)
    return found


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz", "s"])
@pytest.mark.parametrize("packed", [True, False])
def test_plain_and_gzip_are_told_by_their_content(tmp_path: Path, name: str, packed: object) -> None:
    """A file that was renamed could not be read, or be read as nonsense."""
    path = write(tmp_path / name, [honest("a"), attack("b")], packed=bool(packed))
    assert [found.session_id for found in read_sessions(path)] == ["a", "b"]
    assert count_sessions(path) == 2


def test_every_recorded_step_is_one_step_between_a_start_and_an_end(tmp_path: Path) -> None:
    """Findings would point at other steps than the recording has."""
    found = only(tmp_path, attack())
    kinds = [step.kind for step in found.steps]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
    assert kinds[1:-1] == [
        "message",
        "tool_call",
        "tool_result",
        "tool_call",
        "tool_result",
        "tool_call",
        "tool_result",
    ]
    assert found.indexes == (-1, 0, 1, 2, 3, 4, 5, 6, -1)
    assert [step.seq for step in found.steps[1:-1]] == list(range(1, 8))
    assert len({step.trace_id for step in found.steps[1:-1]}) == 1


def test_every_step_is_one_that_detect_believes(tmp_path: Path) -> None:
    """What is replayed would go to dead letters instead of being judged."""
    for recorded in (
        honest(),
        attack(),
        session("odd", said("\ud800 lone"), called("x", deep=[{"a": 10**40}]), dataset="\ud800", agent_model="\udfff"),
    ):
        for step in only(tmp_path, recorded).steps:
            assert read_step(encode_step(step)) == step
            assert step.digest == ids.content_digest(content(step))


def test_labels_never_reach_a_step(tmp_path: Path) -> None:
    """The figures would measure whether detectors can read the answer."""
    labelled = attack("label-in-the-name")
    secret = {
        "label": "SECRETLABEL",
        "injection_goal": "SECRETGOAL",
        "attack_type": "SECRETTYPE",
        "injection_seen": True,
    }
    found = only(tmp_path, {**labelled, **secret})
    written = b"".join(encode_step(step) for step in found.steps)
    for word in (b"SECRET", b"injected", b"attacker_action", b"label", b"attack"):
        assert word not in written
    assert found.label == "SECRETLABEL"


def test_changing_a_label_changes_no_step(tmp_path: Path) -> None:
    """A detector could tell attacks from honest runs by their ids."""
    one, other = attack(), attack()
    other["label"], other["label_suspect"] = "benign", True
    for step in other["steps"]:
        step["injected"] = step["attacker_action"] = not step["attacker_action"]
    assert only(tmp_path, one).steps == only(tmp_path, other).steps


@pytest.mark.parametrize("length", [MAX_BODY, MAX_BODY + 1, 3 * MAX_BODY])
def test_texts_over_64_kib_are_cut_like_the_sdk_cuts_them(tmp_path: Path, length: int) -> None:
    """A replayed session would be judged by more than an agent publishes, or be refused as too large."""
    text = "é" * length
    found = only(tmp_path, session("long", answered("get_file", text), called("put_file", body=text, name="n")))
    result, call = found.steps[1], found.steps[2]
    if length <= MAX_BODY:
        assert (result.text, result.cut, call.cut) == (text, None, None)
        return
    assert result.text == text[:PREVIEW]
    assert result.cut is not None
    assert call.cut is not None
    assert (result.cut["text"].length, call.cut["arguments.body"].length) == (length, length)
    assert call.arguments == {"body": text[:PREVIEW], "name": "n"}


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**honest(), "steps": None}).encode(),
        json.dumps({**honest(), "steps": [1]}).encode(),
        json.dumps({**honest(), "steps": [{}]}).encode(),
        json.dumps(session("x", {"kind": "thought"})).encode(),
        json.dumps(session("x", {**said("x"), "i": "first"})).encode(),
        json.dumps(session("x", said("x", ts="yesterday"))).encode(),
        json.dumps(session("x", said("x", ts=float("inf")))).encode(),
        json.dumps(session("x", said("x", ts=1e300))).encode(),
        json.dumps(session("x", answered("t", "x", duration_s="long"))).encode(),
        json.dumps(session("x", said("x", usage=[1]))).encode(),
        json.dumps({key: value for key, value in honest().items() if key != "session_id"}).encode(),
    ],
)
def test_a_bad_line_is_told_with_file_and_line(tmp_path: Path, line: bytes) -> None:
    """Somebody with a file of ten thousand lines would have to look for the bad one."""
    path = write(tmp_path / "s.jsonl", [honest()])
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    with pytest.raises(BadInput) as bad:
        list(read_sessions(path))
    assert str(bad.value).endswith(f"({path}:3)")
    assert "\n" not in str(bad.value)
    assert bad.value.exit_code == 2


def test_what_comes_before_a_bad_line_is_read(tmp_path: Path) -> None:
    """One bad line at the end would hide everything before it."""
    path = write(tmp_path / "s.jsonl", [honest("a")])
    path.write_bytes(path.read_bytes() + b"{\n")
    sessions = read_sessions(path)
    assert next(sessions).session_id == "a"


@pytest.mark.parametrize("cut", [3, 20, -5])
def test_a_gzip_file_that_is_cut_short_is_told_in_one_line(tmp_path: Path, cut: int) -> None:
    """A broken download would end in a stack trace."""
    path = write(tmp_path / "s.jsonl.gz", [honest(str(i)) for i in range(50)], packed=True)
    path.write_bytes(path.read_bytes()[:cut])
    for read in (lambda: list(read_sessions(path)), lambda: count_sessions(path)):
        with pytest.raises(BadInput, match="cannot be read on after line") as bad:
            read()
        assert str(path) in str(bad.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelt path would look like an empty recording."""
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(BadInput, match="cannot read the sessions"):
            list(read_sessions(missing))


def test_blank_lines_and_an_empty_file_are_no_sessions(tmp_path: Path) -> None:
    """A file that ends with a blank line would be refused."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"\n \n" + json.dumps(honest()).encode() + b"\n\n")
    assert count_sessions(path) == len(list(read_sessions(path))) == 1
    path.write_bytes(b"")
    assert count_sessions(path) == 0


def test_recorded_times_are_kept_and_missing_ones_made_up_in_order(tmp_path: Path) -> None:
    """A replay would judge a day's work as one burst, or steps as going back in time."""
    timed = session("t", said("a", ts="2026-01-02T03:04:05Z"), said("b", ts=1767323047.5), said("c", ts=1767323046))
    times = [step.time_us for step in only(tmp_path, timed).steps]
    assert times[1:-1] == [1767323045_000_000, 1767323047_500_000, 1767323047_500_000]
    made_up = [step.time_us for step in only(tmp_path, session("u", said("a"), said("b"))).steps]
    assert made_up == sorted(made_up)
    assert made_up[2] - made_up[1] == 1_000_000


def test_what_a_model_used_is_counted_within_bounds(tmp_path: Path) -> None:
    """Budgets would be judged by nonsense, or the step be refused."""
    usage = {"prompt_tokens": 12, "completion_tokens": -3}
    model = {"kind": "llm_message", "text": "hm", "usage": usage}
    call = only(tmp_path, session("m", model)).steps[1]
    assert (call.kind, call.model, call.input_tokens, call.output_tokens) == ("model_call", "m-1", 12, 0)
    absurd = only(tmp_path, session("m", {**model, "usage": {"prompt_tokens": 1e300}})).steps[1]
    assert read_step(encode_step(absurd)) == absurd


def test_text_of_a_pipeline_is_not_taken_for_a_persons_word(tmp_path: Path) -> None:
    """A planner's text would count as the user's permission."""
    found = only(tmp_path, session("o", said("a"), said("b", origin="planner")))
    assert [step.origin for step in found.steps[1:3]] == ["user", "agent"]


def test_a_call_that_failed_says_so(tmp_path: Path) -> None:
    """A failed call would count as done."""
    found = only(tmp_path, session("e", {"kind": "error", "tool": "t", "text": "boom"}, ended_abnormally=True))
    assert (found.steps[1].outcome, found.steps[-1].reason) == ("failed", "failed")


def test_arguments_that_are_no_object_are_kept_under_a_name(tmp_path: Path) -> None:
    """A recording with bare arguments could not be read."""
    found = only(tmp_path, session("a", {"kind": "tool_call", "tool": "t", "args": [1, 2], "text": None}))
    assert found.steps[1].arguments == {"value": [1, 2]}


def test_declared_tools_are_read_from_names_or_definitions(tmp_path: Path) -> None:
    """An agent's declared tools would be missing from its start."""
    path = tmp_path / "tools.json"
    path.write_text(json.dumps({"lab/office": {"tools": ["a", {"name": "b", "x": 1}]}, "o/": ["c"]}), encoding="utf-8")
    tools = read_tools(path)
    assert [tool.name for tool in tools["lab/office"]] == ["a", "b"]
    assert only(tmp_path, honest(), **tools).steps[0].tools == tools["lab/office"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1]}', '{"a": {"b": []}}', '{"a": [{}]}'])
def test_a_bad_file_of_tools_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    """A misspelt file would end in a stack trace."""
    path = tmp_path / "tools.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as bad:
        read_tools(path)
    assert str(path) in str(bad.value)


def test_a_recorded_agent_counts_as_granted_everything() -> None:
    """Without a policy every recorded call would be a finding."""
    policy = recorded_policy("lab/office")
    assert (policy.mode, policy.registered) == ("enforce", True)
    assert {grant.effect for layer in policy.layers for grant in layer.grants} == {"allow", "clear"}
