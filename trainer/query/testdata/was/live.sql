CREATE VIEW was.live AS
SELECT
  trajectory_id,
  max(revision) AS revision,
  arg_max(batch, {'revision': revision, 'batch': batch}) AS batch
FROM files.trajectories
GROUP BY trajectory_id
