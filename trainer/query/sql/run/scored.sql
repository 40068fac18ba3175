-- What is trained on and has a return.
SELECT c.trajectory_id, c.tenant, c.group_label, s.value
FROM (
{{.Candidates}}
) c
JOIN v1.scores s USING (trajectory_id, revision)
WHERE c.left_out = '' AND s.value IS NOT NULL
