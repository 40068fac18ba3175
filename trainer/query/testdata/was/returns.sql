CREATE VIEW was.returns AS
WITH by_rule AS (
  SELECT
    trajectory_id, revision, name,
    sum(value) AS total,
    count(value) AS known,
    count(*) FILTER (value IS NULL AND reason IS DISTINCT FROM 'not_chosen') AS nulls,
    count(*) FILTER (value IS NULL AND reason = 'not_chosen') AS gated
  FROM was.rewards
  GROUP BY trajectory_id, revision, name
),
by_trajectory AS (
  SELECT
    trajectory_id, revision,
    sum(weight * total) FILTER (known > 0) AS value,
    count(*) FILTER (level = 'trajectory' AND (known > 0 OR gated > 0) AND missing = 'mask') AS masking_known,
    count(*) FILTER (nulls > 0 AND missing = 'mask') AS masking_null,
    count(*) FILTER (known > 0) AS rules_known,
    count(*) FILTER (level = 'step' AND known = 0 AND nulls > 0) AS steps_null
  FROM by_rule JOIN rules USING (name)
  GROUP BY trajectory_id, revision
),
needed AS (
  SELECT
    count(*) FILTER (level = 'trajectory' AND missing = 'mask') AS masking,
    count(*) FILTER (level = 'step') AS steps,
    count(weight) AS weights
  FROM rules
),
judged AS (
  SELECT
    live.trajectory_id, live.revision, b.value,
    CASE
      WHEN n.weights = 0 THEN 'no_rules'
      WHEN b.trajectory_id IS NULL THEN 'not_scored'
      WHEN b.masking_null > 0 OR b.masking_known < n.masking THEN 'masked'
      WHEN b.rules_known = 0 AND b.steps_null = n.steps THEN 'no_value'
      WHEN NOT isfinite(coalesce(b.value, 0)) THEN 'not_finite'
    END AS reason
  FROM was.live
  CROSS JOIN needed n
  LEFT JOIN by_trajectory b USING (trajectory_id, revision)
)
SELECT
  trajectory_id, revision,
  CASE WHEN reason IS NULL THEN coalesce(value, 0) END AS value,
  reason
FROM judged
