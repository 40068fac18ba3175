CREATE TABLE v1.rewards (
  trajectory_id VARCHAR,
  revision      BIGINT,
  batch         VARCHAR,
  step_index    INTEGER,
  name          VARCHAR,
  value         DOUBLE,
  reason        VARCHAR,
  explanation   VARCHAR,
  source        VARCHAR,
  rule_hash     VARCHAR,
  provisional   BOOLEAN,
  evaluated_at  TIMESTAMP
)
