-- The newest value per revision, step and name under the current rules. Values
-- are appended in batches of their own when facts come late, so they belong to a
-- revision and not to the batch that the revision came with. Few have a
-- second one, and only these are put in order: what has a hash of its own has no
-- second one.
CREATE VIEW v1.current AS
WITH said AS NOT MATERIALIZED (
  SELECT *, hash(trajectory_id, revision, step_index, name) AS key
  FROM files.rewards
  SEMI JOIN main.rules USING (name, rule_hash)
),
several AS (
  SELECT key FROM said GROUP BY key HAVING count(*) > 1
)
SELECT * EXCLUDE (key) FROM said ANTI JOIN several USING (key)
UNION ALL
(
  SELECT * EXCLUDE (key) FROM said SEMI JOIN several USING (key)
  QUALIFY row_number() OVER (
    PARTITION BY trajectory_id, revision, step_index, name
    ORDER BY evaluated_at DESC NULLS LAST, batch DESC
  ) = 1
)
