CREATE TABLE v1.facts (
  fact_id         VARCHAR,
  batch           VARCHAR,
  name            VARCHAR,
  value           DOUBLE,
  label           VARCHAR,
  explanation     VARCHAR,
  source          VARCHAR,
  observed_at     TIMESTAMP,
  trajectory_id   VARCHAR,
  trace_id        VARCHAR,
  span_id         VARCHAR,
  response_id     VARCHAR,
  conversation_id VARCHAR
)
