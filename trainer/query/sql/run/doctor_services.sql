-- What the trajectories of each service show. Those that neither call a model
-- nor run a tool are no runs of an agent: they are counted beside.
WITH t AS (
  SELECT *, model_calls + tool_calls > 0 AS busy, coalesce(service_name, '') AS service
  FROM trajectories
),
judged AS (
  SELECT DISTINCT trajectory_id FROM facts WHERE trajectory_id IS NOT NULL
),
tasks AS (
  SELECT service, task_key, count(*) AS n FROM t WHERE busy AND task_key IS NOT NULL GROUP BY ALL
),
by_task AS (
  SELECT service, count(*) AS tasks, coalesce(sum(n) FILTER (n > 1), 0) AS repeated FROM tasks GROUP BY service
)
SELECT
  service,
  count(*) FILTER (busy) AS runs,
  count(*) FILTER (NOT busy) AS idle,
  coalesce(sum(span_count), 0)::BIGINT AS spans,
  coalesce(sum(len(trace_ids)) FILTER (busy), 0)::BIGINT AS traces,
  count(*) FILTER (busy AND trainable) AS trainable,
  count(*) FILTER (busy AND status = 'error') AS failed,
  count(*) FILTER (busy AND conversation_id IS NOT NULL) AS with_session,
  count(*) FILTER (busy AND user_id IS NOT NULL) AS with_user,
  count(*) FILTER (busy AND len(agent_names) > 0) AS with_agents,
  count(*) FILTER (busy AND judged.trajectory_id IS NOT NULL) AS with_verdict,
  count(*) FILTER (busy AND len(trace_ids) > 1 AND conversation_id IS NOT NULL) AS by_session,
  count(*) FILTER (busy AND len(trace_ids) > 1 AND conversation_id IS NULL) AS by_history,
  count(DISTINCT conversation_id) FILTER (busy) AS sessions,
  coalesce(any_value(by_task.tasks), 0)::BIGINT AS tasks,
  coalesce(any_value(by_task.repeated), 0)::BIGINT AS repeated,
  count(*) FILTER (busy AND task_key_source = 'attribute') AS named_tasks
FROM t
LEFT JOIN judged USING (trajectory_id)
LEFT JOIN by_task USING (service)
GROUP BY service
ORDER BY service
