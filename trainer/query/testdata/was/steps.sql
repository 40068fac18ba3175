CREATE VIEW was.steps AS
SELECT s.*
FROM files.steps s
SEMI JOIN was.live USING (trajectory_id, revision, batch)
