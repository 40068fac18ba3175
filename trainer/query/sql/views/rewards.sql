-- The current values of what lives.
CREATE VIEW rewards AS
SELECT r.*
FROM v1.current r
SEMI JOIN live USING (trajectory_id, revision)
