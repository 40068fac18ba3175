-- Every live trajectory with the group and the holdout key that the config's
-- expressions give it, and why it is left out. Expressions stand on lines of
-- their own, so that an error points into them.
SELECT
  trajectory_id,
  revision,
  coalesce(task_key, '') AS task_key,
  coalesce(tenant, '') AS tenant,
  coalesce((
{{.GroupBy}}
  )::VARCHAR, '') AS group_label,
  coalesce((
{{.HoldoutBy}}
  )::VARCHAR, '') AS holdout_key,
  coalesce(bundle, '') AS bundle,
  coalesce(epoch_us(coalesce(ended_at, started_at, exported_at)), 0) AS ended,
  CASE
    WHEN coalesce(ended_at, started_at, exported_at) < $since THEN 'before_window'
    WHEN coalesce(ended_at, started_at, exported_at) > $until THEN 'too_young'
    WHEN (
{{.Where}}
    ) IS NOT TRUE THEN 'where'
    WHEN {{len .Agents}} > 0 AND NOT list_has_any(list_append(agent_names, service_name), {{.AgentList}}::VARCHAR[]) THEN 'agent'
    WHEN NOT trainable THEN coalesce('not_trainable: ' || reasons[1], 'not_trainable')
    WHEN group_label = '' THEN 'no_group'
    ELSE ''
  END AS left_out
FROM trajectories
