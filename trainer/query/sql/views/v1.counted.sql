-- The rows of live, whole.
CREATE VIEW v1.counted AS
FROM files.trajectories t
WHERE trajectory_id IS NOT NULL AND revision IS NOT NULL AND batch IS NOT NULL
{{- if .Newest}}
  AND NOT EXISTS (
    FROM v1.newest n
    WHERE n.trajectory_id = t.trajectory_id AND (n.revision <> t.revision OR n.batch <> t.batch)
  )
{{- end}}
