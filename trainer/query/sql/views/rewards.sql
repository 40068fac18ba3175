-- The newest value per trajectory, step and name under the current rules.
-- Values are appended in batches of their own when facts come late, so they
-- belong to a revision and not to the batch that the revision came with.
CREATE VIEW rewards AS
SELECT r.*
FROM files.rewards r
SEMI JOIN live USING (trajectory_id, revision)
SEMI JOIN rules USING (name, rule_hash)
QUALIFY row_number() OVER (
  PARTITION BY r.trajectory_id, r.step_index, r.name
  ORDER BY r.evaluated_at DESC NULLS LAST, r.batch DESC
) = 1
