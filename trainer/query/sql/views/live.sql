-- The revision of each trajectory that counts: the newest; of equal revisions
-- (a batch that was sent again) the one written last. Decided on trajectories
-- alone: a row there is what commits the rows of the other tables.
CREATE VIEW live AS
SELECT
  trajectory_id,
  max(revision) AS revision,
  arg_max(batch, {'revision': revision, 'batch': batch}) AS batch
FROM files.trajectories
GROUP BY trajectory_id
