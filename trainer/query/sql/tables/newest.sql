-- Of each trajectory that stands in several rows, the one that counts: of the
-- newest revision; of equal revisions (a batch that was sent again, a merged
-- set) the one written last. Found once, when the dataset is opened: there are
-- few of them, and every view has to know. Two ids of one hash do no harm, as
-- each is decided on its own.
CREATE TABLE v1.newest AS
WITH several AS (
  SELECT hash(trajectory_id) AS h FROM files.trajectories GROUP BY h HAVING count(*) > 1
)
SELECT
  trajectory_id,
  max(revision) AS revision,
  arg_max(batch, {'revision': revision, 'batch': batch}) AS batch
FROM files.trajectories
WHERE hash(trajectory_id) IN (FROM several)
GROUP BY trajectory_id
