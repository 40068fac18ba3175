CREATE VIEW steps AS
SELECT s.*
FROM files.steps s
SEMI JOIN live USING (trajectory_id, revision, batch)
