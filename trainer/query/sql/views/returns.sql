-- One row per trajectory: Σ weight × (the trajectory's value, or the sum over
-- its steps), as rewards.(*Engine).Return defines it. value is NULL with the
-- reason: a rule with missing: mask is null (masked), no reward was computed
-- under the current rules (not_scored), none had a value (no_value), or no
-- rules were given (no_rules: pass the rewards file).
CREATE VIEW returns AS
WITH needed AS (
  SELECT
    count(*) AS rules,
    coalesce(bit_or(bit) FILTER (missing = 'mask'), 0) AS masking,
    coalesce(bit_or(bit) FILTER (missing = 'mask' AND level = 'trajectory'), 0) AS always,
    coalesce(bit_or(bit) FILTER (level = 'step'), 0) AS steps
  FROM (SELECT *, 1::UBIGINT << position AS bit FROM v1.rules)
),
judged AS (
  SELECT
    live.trajectory_id, live.revision, s.total,
    CASE
      WHEN n.rules = 0 THEN 'no_rules'
      WHEN s.trajectory_id IS NULL THEN 'not_scored'
      WHEN s.nulls & n.masking <> 0 OR s.known & n.always <> n.always THEN 'masked'
      WHEN s.known = 0 AND s.nulls & n.steps = n.steps THEN 'no_value'
      WHEN NOT isfinite(coalesce(s.total, 0)) THEN 'not_finite'
    END AS reason
  FROM live
  CROSS JOIN needed n
  LEFT JOIN v1.scores s USING (trajectory_id, revision)
)
SELECT
  trajectory_id, revision,
  CASE WHEN reason IS NULL THEN coalesce(total, 0) END AS value,
  reason
FROM judged
