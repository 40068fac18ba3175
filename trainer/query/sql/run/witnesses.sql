-- Whether there is anything that the view trajectories has to look for, and how many rows
-- it looks at.
SELECT
  coalesce(bool_or(source = 'gateway'), false) AS gateway,
  coalesce(min(writer) < max(writer), false) AS writers,
  EXISTS (FROM v1.newest) AS newest,
  count(*) AS rows
FROM files.trajectories
