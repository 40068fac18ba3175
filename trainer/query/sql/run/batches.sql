-- Where the rows of the chosen trajectories stand, and why they are not
-- trainable, which is more than the rows themselves can say.
SELECT trajectory_id, revision, batch, reasons
FROM trajectories
WHERE (
{{.Where}}
) IS TRUE
ORDER BY batch, trajectory_id
