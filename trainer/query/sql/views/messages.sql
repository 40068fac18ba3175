CREATE VIEW messages AS
SELECT m.*
FROM files.messages m
SEMI JOIN live USING (trajectory_id, revision, batch)
