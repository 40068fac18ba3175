CREATE VIEW was.rewards AS
SELECT r.*
FROM files.rewards r
SEMI JOIN was.live USING (trajectory_id, revision)
SEMI JOIN rules USING (name, rule_hash)
QUALIFY row_number() OVER (
  PARTITION BY r.trajectory_id, r.step_index, r.name
  ORDER BY r.evaluated_at DESC NULLS LAST, r.batch DESC
) = 1
