-- Where the rows of the chosen trajectories stand.
SELECT trajectory_id, revision, batch
FROM trajectories
WHERE (
{{.Where}}
) IS TRUE
ORDER BY batch, trajectory_id
