CREATE OR REPLACE TABLE v1.scored (
  trajectory_id VARCHAR,
  tenant        VARCHAR,
  group_label   VARCHAR,
  value         DOUBLE
)
