CREATE VIEW trajectories AS
SELECT t.*
FROM files.trajectories t
SEMI JOIN live USING (trajectory_id, revision, batch)
