-- What is counted by name: why runs are not trained on, models, tools and
-- facts. failed is what it means for tools; source is that of a fact.
WITH t AS (
  SELECT trajectory_id, revision, coalesce(service_name, '') AS service, reasons
  FROM trajectories
  WHERE model_calls + tool_calls > 0
),
s AS (
  SELECT service, kind, coalesce(response_model, request_model, '') AS model, coalesce(tool_name, '') AS tool, error
  FROM steps JOIN t USING (trajectory_id, revision)
)
SELECT 'reason' AS what, service, unnest(reasons) AS name, 1::BIGINT AS n, 0::BIGINT AS failed, '' AS source FROM t
UNION ALL
SELECT 'model', service, model, count(*), 0, '' FROM s WHERE kind = 'model' AND model != '' GROUP BY ALL
UNION ALL
SELECT 'tool', service, tool, count(*), count(error), '' FROM s WHERE kind = 'tool' GROUP BY ALL
UNION ALL
SELECT 'fact', service, coalesce(name, ''), count(DISTINCT trajectory_id), 0, coalesce(any_value(source), '')
FROM facts JOIN t USING (trajectory_id) GROUP BY ALL
