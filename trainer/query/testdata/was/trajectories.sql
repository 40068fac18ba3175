CREATE VIEW was.trajectories AS
WITH found AS (
  -- Its spans went to several collectors: no row of it is whole. Who imports
  -- files sees again what others saw.
  SELECT trajectory_id, 'split_across_collectors' AS reason
  FROM files.trajectories
  WHERE source IS DISTINCT FROM 'import'
  GROUP BY trajectory_id
  HAVING min(writer) < max(writer)
  UNION ALL
  -- A call of the gateway stands in a trajectory of another source as well: it
  -- was seen by two witnesses without a common trace.
  SELECT DISTINCT g.trajectory_id, 'possible_duplicate' AS reason
  FROM (
    SELECT s.trajectory_id, s.response_id
    FROM files.steps s
    JOIN files.trajectories t USING (trajectory_id, revision, batch)
    SEMI JOIN was.live USING (trajectory_id, revision, batch)
    WHERE t.source = 'gateway' AND s.response_id IS NOT NULL
  ) g
  SEMI JOIN (
    SELECT s.response_id
    FROM files.steps s
    JOIN files.trajectories t USING (trajectory_id, revision, batch)
    SEMI JOIN was.live USING (trajectory_id, revision, batch)
    WHERE t.source IS DISTINCT FROM 'gateway' AND s.response_id IS NOT NULL
  ) o USING (response_id)
),
added AS (
  SELECT trajectory_id, list(reason ORDER BY reason DESC) AS added FROM found GROUP BY trajectory_id
)
SELECT t.* REPLACE (
  t.trainable AND a.added IS NULL AS trainable,
  list_concat(t.reasons, list_filter(a.added, lambda r: NOT coalesce(list_contains(t.reasons, r), false))) AS reasons
)
FROM files.trajectories t
SEMI JOIN was.live USING (trajectory_id, revision, batch)
LEFT JOIN added a USING (trajectory_id)
