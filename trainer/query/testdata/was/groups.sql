CREATE VIEW was.groups AS
SELECT
  t.tenant, t.task_key,
  count(*) AS trajectories,
  count(*) FILTER (t.trainable) AS trainable,
  count(r.value) FILTER (t.trainable) AS scored,
  avg(r.value) FILTER (t.trainable) AS mean,
  stddev_samp(r.value) FILTER (t.trainable) AS std,
  min(r.value) FILTER (t.trainable) AS low,
  max(r.value) FILTER (t.trainable) AS high,
  coalesce(scored > 1 AND high > low, false) AS informative,
  any_value(t.input) AS example
FROM was.trajectories t
JOIN was.returns r USING (trajectory_id, revision)
GROUP BY t.tenant, t.task_key
