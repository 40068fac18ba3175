-- The revision of each trajectory that counts, see v1.newest. Decided on
-- trajectories alone: a row there is what commits the rows of the other tables.
CREATE VIEW live AS
SELECT trajectory_id, revision, batch
FROM files.trajectories
{{- if .Newest}}
ANTI JOIN v1.newest USING (trajectory_id)
UNION ALL
FROM v1.newest
{{- end}}
