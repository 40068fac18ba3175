CREATE TABLE v1.messages (
  trajectory_id VARCHAR,
  revision      BIGINT,
  batch         VARCHAR,
  message_index INTEGER,
  role          VARCHAR,
  text          VARCHAR,
  reasoning     VARCHAR,
  tool_calls    VARCHAR,
  tool_call_id  VARCHAR,
  name          VARCHAR,
  injected      VARCHAR,
  parts         VARCHAR
)
