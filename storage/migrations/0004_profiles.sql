-- Agents as a whole: what each uses, and how its work adds up.

ALTER TABLE sightings ADD COLUMN IF NOT EXISTS digest String;
ALTER TABLE sightings ADD COLUMN IF NOT EXISTS version String;
ALTER TABLE sightings ADD COLUMN IF NOT EXISTS trace_id String;
ALTER TABLE sightings ADD COLUMN IF NOT EXISTS seq UInt64;
ALTER TABLE sightings ADD COLUMN IF NOT EXISTS identity LowCardinality(String);
ALTER TABLE sightings ADD COLUMN IF NOT EXISTS `partition` UInt32;
ALTER TABLE sightings ADD COLUMN IF NOT EXISTS uses UInt64;

ALTER TABLE activity ADD COLUMN IF NOT EXISTS uses String COMMENT 'JSON object: kind of use to how often';
ALTER TABLE activity ADD COLUMN IF NOT EXISTS ungated UInt64;
ALTER TABLE activity ADD COLUMN IF NOT EXISTS last_us UInt64;
ALTER TABLE activity ADD COLUMN IF NOT EXISTS open_runs String COMMENT 'JSON object: run to append time of its last step';
ALTER TABLE activity ADD COLUMN IF NOT EXISTS ended_runs String COMMENT 'JSON object: run to append time of its end';

ALTER TABLE inventory ADD COLUMN IF NOT EXISTS resources Array(String);
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS labels Array(String);
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS prompts Array(String);
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS definitions String COMMENT 'JSON object: declared tool to digest of its definition';
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS servers String COMMENT 'JSON object: MCP server to digest';
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS grants Array(String);
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS steps UInt64;
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS calls UInt64;
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS ungated UInt64;
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS cost_usd Float64;
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS tokens UInt64;
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS open_runs Array(String);
ALTER TABLE inventory ADD COLUMN IF NOT EXISTS settled Bool;
