-- One row per trajectory: Σ weight × (the trajectory's value, or the sum over
-- its steps), as rewards.(*Engine).Return defines it. value is NULL with the
-- reason: a rule with missing: mask is null (masked), no reward was computed
-- under the current rules (not_scored), none had a value (no_value), or no
-- rules were given (no_rules: pass the rewards file).
CREATE VIEW returns AS
SELECT
  l.trajectory_id, l.revision, s.value,
  CASE
    WHEN s.trajectory_id IS NOT NULL THEN s.reason
    WHEN EXISTS (FROM v1.rules) THEN 'not_scored'
    ELSE 'no_rules'
  END AS reason
FROM live l
LEFT JOIN v1.scores s USING (trajectory_id, revision)
