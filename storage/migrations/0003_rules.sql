-- Sigma rules: which were in force where and since when, and what sums over traces are made of.

ALTER TABLE liveness ADD COLUMN IF NOT EXISTS bundle_version UInt64;
ALTER TABLE liveness ADD COLUMN IF NOT EXISTS rules_digest LowCardinality(String);
ALTER TABLE liveness ADD COLUMN IF NOT EXISTS rules_since String COMMENT 'JSON object: steps partition to first offset';
ALTER TABLE liveness ADD COLUMN IF NOT EXISTS rules_error String;

ALTER TABLE matches ADD COLUMN IF NOT EXISTS seq UInt64;
ALTER TABLE matches ADD COLUMN IF NOT EXISTS judged_us Int64;
ALTER TABLE matches ADD COLUMN IF NOT EXISTS values String COMMENT 'JSON object: field to its values' CODEC(ZSTD(1));
ALTER TABLE matches ADD COLUMN IF NOT EXISTS identity LowCardinality(String);
ALTER TABLE matches ADD COLUMN IF NOT EXISTS mode LowCardinality(String);
ALTER TABLE matches ADD COLUMN IF NOT EXISTS drill Bool;

ALTER TABLE correlations ADD COLUMN IF NOT EXISTS seq UInt64;
ALTER TABLE correlations ADD COLUMN IF NOT EXISTS judged_us Int64;
ALTER TABLE correlations ADD COLUMN IF NOT EXISTS values String COMMENT 'JSON object: field to its values' CODEC(ZSTD(1));
ALTER TABLE correlations ADD COLUMN IF NOT EXISTS identity LowCardinality(String);
ALTER TABLE correlations ADD COLUMN IF NOT EXISTS mode LowCardinality(String);
ALTER TABLE correlations ADD COLUMN IF NOT EXISTS drill Bool;
