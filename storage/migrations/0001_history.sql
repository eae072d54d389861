-- One table a topic. Every row says where in Kafka it came from (kafka_topic, kafka_partition, kafka_offset) and when
-- Kafka took it (kafka_time). Tables are partitioned by Kafka's time, never by a date an agent chose: agents' dates end
-- in "Too many partitions". Rows are immutable; a later version of an incident or approval is another row.

CREATE TABLE IF NOT EXISTS steps
(
    kafka_topic     LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset    UInt64 CODEC(DoubleDelta, ZSTD(1)),
    kafka_time      DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value_digest    FixedString(32) COMMENT 'BLAKE2b-128 of the record, hex: tells a repeat of a step_id from a rewrite',
    v               UInt8,
    step_id         FixedString(32),
    agent_id        LowCardinality(String),
    run_id          String CODEC(ZSTD(1)),
    trace_id        String CODEC(ZSTD(1)),
    seq             UInt64 CODEC(Delta, ZSTD(1)),
    kind            LowCardinality(String),
    time_us         Int64 COMMENT 'the agent''s own clock, microseconds; untrusted' CODEC(Delta, ZSTD(1)),
    digest          String CODEC(ZSTD(1)),
    version         LowCardinality(String),
    principal       LowCardinality(String),
    workflow        LowCardinality(String),
    conversation_id String CODEC(ZSTD(1)),
    parent_run_id   String CODEC(ZSTD(1)),
    delegation      Array(String),
    tool            LowCardinality(String),
    tool_call_id    String CODEC(ZSTD(1)),
    arguments       String COMMENT 'JSON object' CODEC(ZSTD(3)),
    gate            Tuple(verdict LowCardinality(String), grant LowCardinality(String), policy_version UInt64,
                          rule LowCardinality(String), mode LowCardinality(String), waited_us UInt64),
    outcome         LowCardinality(String),
    text            String CODEC(ZSTD(3)),
    origin          LowCardinality(String),
    cut             String COMMENT 'JSON: path → length and digest of a body that was cut' CODEC(ZSTD(1)),
    error           String CODEC(ZSTD(1)),
    duration_us     UInt64 CODEC(ZSTD(1)),
    model           LowCardinality(String),
    provider        LowCardinality(String),
    input_tokens    UInt64 CODEC(T64, ZSTD(1)),
    output_tokens   UInt64 CODEC(T64, ZSTD(1)),
    cost_usd        Float64 CODEC(ZSTD(1)),
    reasoning       String COMMENT 'the agent''s own claim' CODEC(ZSTD(3)),
    to_agent        LowCardinality(String),
    memory_id       String CODEC(ZSTD(1)),
    labels          Array(LowCardinality(String)),
    owner           LowCardinality(String),
    tools           String COMMENT 'JSON: declared tools and digests' CODEC(ZSTD(1)),
    prompt_digest   LowCardinality(String),
    mcp_servers     String CODEC(ZSTD(1)),
    mode            LowCardinality(String),
    reason          String CODEC(ZSTD(1)),
    drill           String CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_step step_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_time kafka_time TYPE minmax GRANULARITY 1,
    INDEX by_offset (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(kafka_time)
ORDER BY (agent_id, run_id, trace_id, seq)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS findings
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, finding_id FixedString(32), rule_id LowCardinality(String), rule_version UInt32,
    detector LowCardinality(String), title String, severity LowCardinality(String), confidence Float64, impact Float64,
    reason String CODEC(ZSTD(1)), agent_id LowCardinality(String), run_id String, trace_id String,
    step_id FixedString(32), seq UInt64, tool LowCardinality(String), traits Array(LowCardinality(String)),
    `group` String, evidence String COMMENT 'JSON: steps and what each contributed' CODEC(ZSTD(1)),
    identity LowCardinality(String), mode LowCardinality(String), tags Array(LowCardinality(String)),
    response String, step_time_us Int64, append_time_us UInt64, drill Bool
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, rule_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS matches
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, match_id String, rule_id LowCardinality(String), rule_version UInt32, agent_id LowCardinality(String),
    run_id String, trace_id String, step_id String, scope LowCardinality(String), `group` Array(String),
    amount Float64, append_time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, rule_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS correlations
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, match_id String, rule_id LowCardinality(String), rule_version UInt32, agent_id LowCardinality(String),
    run_id String, trace_id String, step_id String, scope LowCardinality(String), scope_value String,
    `group` Array(String), amount Float64, append_time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (scope, scope_value, rule_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS sightings
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, agent_id LowCardinality(String), run_id String, kind LowCardinality(String), name String, step_id String,
    append_time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, kind, name, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS activity
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, agent_id LowCardinality(String), `partition` UInt32, `offset` Int64, steps UInt64, by_kind String,
    input_tokens UInt64, output_tokens UInt64, cost_usd Float64, windows String CODEC(ZSTD(1))
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS incidents
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, incident_id String, revision UInt32, agent_id LowCardinality(String), run_id String, trace_id String,
    title String, severity LowCardinality(String), risk Float64, status LowCardinality(String),
    finding_ids Array(String), findings_seen UInt64, verdict LowCardinality(String), assignee String,
    opened_us UInt64, changed_us UInt64, drill Bool
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (incident_id, revision)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS decisions
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, decision_id String, incident_id String, finding_id String, agent_id LowCardinality(String), run_id String,
    trace_id String, action LowCardinality(String), wanted LowCardinality(String), `row` LowCardinality(String),
    because String, limited_by String, policy_version UInt64, rules_version UInt64, mode LowCardinality(String),
    command_id String, approval_id String, time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, kafka_time, decision_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS approvals
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, approval_id String, revision UInt32, status LowCardinality(String), agent_id LowCardinality(String),
    run_id String, trace_id String, step_id String, action_digest String, tool LowCardinality(String),
    arguments String CODEC(ZSTD(1)), question String, reason String, evidence String CODEC(ZSTD(1)), incident_id String,
    finding_ids Array(String), irreversible Bool, answered_by String, answer String, opened_us UInt64, expires_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (approval_id, revision)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS commands
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, command_id String, action LowCardinality(String),
    target Tuple(agent_id LowCardinality(String), run_id String, step_id String, digest String),
    arguments String CODEC(ZSTD(1)), epoch UInt64, issued_us UInt64, expires_us UInt64, reason String,
    incident_id String, decision_id String, finding_ids Array(String), person String,
    signed_by LowCardinality(String) COMMENT 'the key that signed the record and may; empty where none did'
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (target.agent_id, kafka_time, command_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS receipts
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, receipt_id String, command_id String, agent_id LowCardinality(String), run_id String,
    layer LowCardinality(String), status LowCardinality(String), reason String, running Array(String),
    last_seq String, exit_status Nullable(Int32), step_id String, since_step_us Nullable(Int64), time_us UInt64,
    signed_by LowCardinality(String)
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, command_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS containment
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, agent_id LowCardinality(String), epoch UInt64, orders String CODEC(ZSTD(1)), time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, epoch)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inventory
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, agent_id LowCardinality(String), owner String, registered Bool, mode LowCardinality(String),
    enforcement LowCardinality(String), first_seen_us UInt64, last_seen_us UInt64, runs UInt64, versions Array(String),
    models Array(String), tools Array(String), principals Array(String), delegates_to Array(String),
    called_by Array(String)
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS verdicts
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, verdict_id String, kind LowCardinality(String), agent_id LowCardinality(String), run_id String,
    incident_id String, finding_id String, approval_id String, command_id String, word LowCardinality(String),
    reason String, person LowCardinality(String), time_us UInt64, signed_by LowCardinality(String)
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (agent_id, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS policies
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    kafka_key String, version UInt64, body String COMMENT 'the whole message' CODEC(ZSTD(3)),
    signed_by LowCardinality(String)
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (kafka_key, version)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS rules AS policies
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (kafka_key, version)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS taints
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, kind LowCardinality(String), name String, agent_id LowCardinality(String), run_id String, trace_id String,
    step_id String, reason String, tools String CODEC(ZSTD(1)), time_us UInt64, expires_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (kind, name, kafka_time)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS liveness
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, component LowCardinality(String), instance String, generation UInt64, partitions Array(UInt32), lag UInt64,
    behind_us UInt64, counters String CODEC(ZSTD(1)), applied String, policy_version UInt64, rules_version UInt64, time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (component, instance, kafka_time)
TTL toDateTime(kafka_time) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 0;

CREATE TABLE IF NOT EXISTS audit
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, topic LowCardinality(String), `partition` UInt32, first_offset UInt64, last_offset UInt64, records UInt64,
    chain String, merkle_root String, time_us UInt64, signed_by LowCardinality(String)
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (topic, `partition`, last_offset)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dead_letters
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    v UInt8, dead_letter_id String, topic LowCardinality(String), `partition` UInt32, `offset` UInt64, key String,
    kind LowCardinality(String), reason String, `by` LowCardinality(String), agent_id LowCardinality(String),
    length UInt64, digest String, head String COMMENT 'base64 of the first 4 KiB' CODEC(ZSTD(1)), append_time_us UInt64
)
ENGINE = MergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (topic, `partition`, `offset`)
SETTINGS non_replicated_deduplication_window = 1000;

-- Steps that were published again (a spool sent late, a send whose answer was lost) and were in the history already.
CREATE TABLE IF NOT EXISTS repeats
(
    kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, kafka_time DateTime64(3, 'UTC'),
    step_id FixedString(32)
)
ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(kafka_time) ORDER BY (kafka_topic, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- One row a step that was refused by anybody, so that two streams refusing it count once.
CREATE VIEW IF NOT EXISTS refused AS
SELECT topic, `partition`, `offset`, any(kind) AS kind, any(reason) AS reason, any(agent_id) AS agent_id,
       groupUniqArray(`by`) AS refused_by, min(kafka_time) AS refused_at
FROM dead_letters GROUP BY topic, `partition`, `offset`;

-- One row a run: when it began and ended, how far it got.
CREATE VIEW IF NOT EXISTS runs AS
SELECT agent_id, run_id, min(kafka_time) AS first_seen, max(kafka_time) AS last_seen, count() AS steps,
       countIf(kind = 'tool_call') AS tool_calls, countIf(kind = 'run_ended') > 0 AS ended,
       anyIf(reason, kind = 'run_ended') AS end_reason, anyIf(version, version != '') AS version,
       anyIf(owner, kind = 'run_started') AS owner, anyIf(mode, kind = 'run_started') AS mode,
       uniqExact(trace_id) - has(groupUniqArray(trace_id), '') AS traces
FROM steps GROUP BY agent_id, run_id;

-- The latest version of each incident.
CREATE VIEW IF NOT EXISTS open_incidents AS
SELECT * FROM incidents ORDER BY incident_id, revision DESC LIMIT 1 BY incident_id;
