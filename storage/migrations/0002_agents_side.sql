-- What the agent's side came to say: where it runs, what it asked before the gate narrowed it, what it lost.

ALTER TABLE steps ADD COLUMN IF NOT EXISTS environment LowCardinality(String) AFTER workflow;
ALTER TABLE steps ADD COLUMN IF NOT EXISTS asked String COMMENT 'JSON object: the arguments before the gate narrowed them' CODEC(ZSTD(3)) AFTER arguments;
ALTER TABLE steps ADD COLUMN IF NOT EXISTS dropped UInt64 COMMENT 'steps the run has lost so far' CODEC(ZSTD(1)) AFTER cut;

-- Every call and what became of it. `unknown`: no result came; its run died meanwhile, or still works on it.
CREATE VIEW IF NOT EXISTS calls AS
SELECT
    call.step_id AS step_id, call.agent_id AS agent_id, call.run_id AS run_id, call.trace_id AS trace_id,
    call.seq AS seq, call.kafka_time AS kafka_time, call.tool AS tool, call.tool_call_id AS tool_call_id,
    call.arguments AS arguments, call.asked AS asked, call.gate.verdict AS verdict, call.gate.rule AS rule,
    call.gate.grant AS grant, call.gate.policy_version AS policy_version,
    multiIf(call.gate.verdict IN ('deny', 'ask'), 'denied', result.outcome != '', result.outcome, 'unknown') AS outcome,
    result.error AS error, result.duration_us AS duration_us, result.step_id AS result_id
FROM (SELECT * FROM steps WHERE kind = 'tool_call') AS call
LEFT ANY JOIN (SELECT step_id, run_id, trace_id, tool_call_id, outcome, error, duration_us FROM steps WHERE kind = 'tool_result') AS result
    ON call.run_id = result.run_id AND call.trace_id = result.trace_id AND call.tool_call_id = result.tool_call_id;
