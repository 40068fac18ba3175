-- The live rows. What only a look at all rows can tell is added to why a row is
-- not trainable. It is looked for only where it can be: with one writer there
-- is no split, without a gateway no second witness.
CREATE VIEW trajectories AS
{{- if not (or .Gateway .Writers)}}
FROM v1.counted
{{- else}}
WITH found AS (
{{- if .Writers}}
  -- Its spans went to several collectors: no row of it is whole. Who imports
  -- files sees again what others saw.
  SELECT trajectory_id, 'split_across_collectors' AS reason
  FROM files.trajectories
  WHERE source IS DISTINCT FROM 'import'
  GROUP BY trajectory_id
  HAVING min(writer) < max(writer)
{{- end}}
{{- if and .Gateway .Writers}}
  UNION ALL
{{- end}}
{{- if .Gateway}}
  -- A call of the gateway stands in a trajectory of another source as well: it
  -- was seen by two witnesses without a common trace.
  SELECT DISTINCT g.trajectory_id, 'possible_duplicate' AS reason
  FROM (
    SELECT s.trajectory_id, s.response_id
    FROM files.steps s
    JOIN v1.counted t USING (trajectory_id, revision, batch)
    WHERE t.source = 'gateway' AND s.response_id IS NOT NULL
  ) g
  SEMI JOIN (
    SELECT s.response_id
    FROM files.steps s
    JOIN v1.counted t USING (trajectory_id, revision, batch)
    WHERE t.source IS DISTINCT FROM 'gateway' AND s.response_id IS NOT NULL
  ) o USING (response_id)
{{- end}}
),
added AS (
  SELECT trajectory_id, list(reason ORDER BY reason DESC) AS added FROM found GROUP BY trajectory_id
)
SELECT t.* REPLACE (
  t.trainable AND a.added IS NULL AS trainable,
  list_concat(t.reasons, list_filter(a.added, lambda r: NOT coalesce(list_contains(t.reasons, r), false))) AS reasons
)
FROM v1.counted t
LEFT JOIN added a USING (trajectory_id)
{{- end}}
