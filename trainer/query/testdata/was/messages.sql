CREATE VIEW was.messages AS
SELECT m.*
FROM files.messages m
SEMI JOIN was.live USING (trajectory_id, revision, batch)
