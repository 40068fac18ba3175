-- Scored trajectories by tenant and group. Groups never cross tenants.
SELECT
  tenant,
  group_label,
  list(trajectory_id ORDER BY trajectory_id) AS trajectory_ids,
  list(value ORDER BY trajectory_id) AS returns
FROM v1.scored
GROUP BY tenant, group_label
ORDER BY tenant, group_label
