CREATE OR REPLACE TABLE v1.chosen (
  trajectory_id VARCHAR
)
