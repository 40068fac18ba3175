-- The reward rules in force, filled from the rewards engine; empty if none were given.
CREATE TABLE v1.rules (
  position  INTEGER,
  name      VARCHAR,
  rule_hash VARCHAR,
  level     VARCHAR,
  weight    DOUBLE,
  missing   VARCHAR
)
