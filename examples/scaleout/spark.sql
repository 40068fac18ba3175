-- The views of a dataset (docs/dataset.md) that lead to groups and advantages, in
-- Spark SQL. spark.py runs them over `files_*`, the tables as they lie there, and
-- `rules`, the reward rules in force.

-- The revision that counts, decided on trajectories alone: a row there commits
-- the rows of the other tables.
CREATE TEMPORARY VIEW live AS
SELECT trajectory_id, max(revision) AS revision, max_by(batch, struct(revision, batch)) AS batch
FROM files_trajectories
GROUP BY trajectory_id;

-- Trajectories that several Collectors had parts of.
CREATE TEMPORARY VIEW split AS
SELECT trajectory_id
FROM files_trajectories
WHERE source IS DISTINCT FROM 'import'
GROUP BY trajectory_id
HAVING min(writer) < max(writer);

-- Calls that an agent's own spans show: a gateway's trajectory of one is a duplicate.
CREATE TEMPORARY VIEW witnessed AS
SELECT DISTINCT s.response_id
FROM files_steps s
LEFT SEMI JOIN live USING (trajectory_id, revision, batch)
LEFT SEMI JOIN (SELECT * FROM files_trajectories WHERE source IS DISTINCT FROM 'gateway') t USING (trajectory_id, revision, batch)
WHERE s.response_id IS NOT NULL;

CREATE TEMPORARY VIEW duplicate AS
SELECT DISTINCT s.trajectory_id
FROM files_steps s
LEFT SEMI JOIN live USING (trajectory_id, revision, batch)
LEFT SEMI JOIN (SELECT * FROM files_trajectories WHERE source = 'gateway') t USING (trajectory_id, revision, batch)
LEFT SEMI JOIN witnessed USING (response_id);

CREATE TEMPORARY VIEW trajectories AS
SELECT
  t.trajectory_id, t.revision, t.tenant, t.task_key,
  t.trainable AND split.trajectory_id IS NULL AND duplicate.trajectory_id IS NULL AS trainable
FROM files_trajectories t
LEFT SEMI JOIN live USING (trajectory_id, revision, batch)
LEFT JOIN split ON split.trajectory_id = t.trajectory_id
LEFT JOIN duplicate ON duplicate.trajectory_id = t.trajectory_id;

-- Of each reward the newest value under the rules in force. Values may come in a
-- later batch than their trajectory.
CREATE TEMPORARY VIEW rewards AS
SELECT trajectory_id, revision, name, value, reason
FROM (
  SELECT *, row_number() OVER (
    PARTITION BY trajectory_id, step_index, name
    ORDER BY evaluated_at DESC NULLS LAST, batch DESC
  ) AS age
  FROM files_rewards
  LEFT SEMI JOIN live USING (trajectory_id, revision)
  LEFT SEMI JOIN rules USING (name, rule_hash)
)
WHERE age = 1;

-- Σ weight × (the trajectory's value, or the sum over its steps). NULL where a
-- rule that masks has no value, or none has.
CREATE TEMPORARY VIEW returns AS
WITH by_rule AS (
  SELECT
    trajectory_id, name,
    sum(value) AS total,
    count(value) AS known,
    count_if(value IS NULL AND reason IS DISTINCT FROM 'not_chosen') AS nulls,
    count_if(value IS NULL AND reason = 'not_chosen') AS gated
  FROM rewards
  GROUP BY trajectory_id, name
),
by_trajectory AS (
  SELECT
    trajectory_id,
    coalesce(sum(weight * total) FILTER (WHERE known > 0), 0) AS value,
    count_if(level = 'trajectory' AND (known > 0 OR gated > 0) AND missing = 'mask') AS masking_known,
    count_if(nulls > 0 AND missing = 'mask') AS masking_null,
    count_if(known > 0) AS rules_known,
    count_if(level = 'step' AND known = 0 AND nulls > 0) AS steps_null
  FROM by_rule JOIN rules USING (name)
  GROUP BY trajectory_id
),
needed AS (
  SELECT count_if(level = 'trajectory' AND missing = 'mask') AS masking, count_if(level = 'step') AS steps
  FROM rules
)
SELECT trajectory_id, value
FROM by_trajectory CROSS JOIN needed
WHERE masking_null = 0 AND masking_known = masking AND (rules_known > 0 OR steps_null < steps);

-- Attempts at the same task, as the view `groups` of `tracegrad sql` has them.
CREATE TEMPORARY VIEW groups AS
SELECT
  tenant, task_key,
  count(*) AS trajectories,
  count_if(trainable) AS trainable,
  count(value) FILTER (WHERE trainable) AS scored,
  avg(value) FILTER (WHERE trainable) AS mean,
  stddev_samp(value) FILTER (WHERE trainable) AS std
FROM trajectories LEFT JOIN returns USING (trajectory_id)
GROUP BY tenant, task_key;

-- How much better a run was than others at its task.
CREATE TEMPORARY VIEW advantages AS
SELECT tenant, task_key, trajectory_id, value, value - avg(value) OVER (PARTITION BY tenant, task_key) AS advantage
FROM trajectories JOIN returns USING (trajectory_id)
WHERE trainable
