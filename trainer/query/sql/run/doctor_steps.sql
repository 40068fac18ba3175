-- What the steps of each service show, by the dialects of their trajectories. A
-- step that failed shows no answer: it is not asked for one.
WITH t AS (
  SELECT trajectory_id, revision, coalesce(service_name, '') AS service, array_to_string(dialects, ',') AS dialects, tool_calls
  FROM trajectories
),
instructions AS (
  SELECT trajectory_id, revision, list(message_index) AS at
  FROM messages
  WHERE role IN ('system', 'developer')
  GROUP BY ALL
)
SELECT
  service,
  dialects,
  count(*) FILTER (kind = 'model') AS calls,
  count(*) FILTER (kind = 'model' AND error IS NOT NULL) AS failed_calls,
  count(*) FILTER (kind = 'model' AND len(input_messages) > 0) AS prompts,
  count(*) FILTER (kind = 'model' AND list_has_any(input_messages, instructions.at)) AS system_prompts,
  count(*) FILTER (kind = 'model' AND tool_calls > 0) AS calls_with_tools,
  count(*) FILTER (kind = 'model' AND tool_calls > 0 AND (tools IS NOT NULL OR tools_step IS NOT NULL)) AS definitions,
  count(*) FILTER (kind = 'model' AND error IS NULL AND len(output_messages) > 0) AS replies,
  count(*) FILTER (kind = 'model' AND error IS NULL AND response_id IS NOT NULL) AS response_ids,
  count(*) FILTER (kind = 'model' AND error IS NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL) AS token_counts,
  count(*) FILTER (kind = 'model' AND error IS NULL AND len(token_ids) > 0 AND len(logprobs) = len(token_ids)) AS tokens,
  count(*) FILTER (kind = 'tool') AS tool_runs,
  count(*) FILTER (kind = 'tool' AND error IS NOT NULL) AS failed_tools,
  count(*) FILTER (kind = 'tool' AND tool_arguments IS NOT NULL) AS arguments,
  count(*) FILTER (kind = 'tool' AND tool_call_id IS NOT NULL) AS call_ids,
  count(*) FILTER (kind = 'tool' AND span_id IS NOT NULL) AS tool_spans,
  count(*) FILTER (kind = 'tool' AND error IS NULL AND tool_result IS NOT NULL) AS results,
  count(*) FILTER (list_contains(reasons, 'content_redacted')) AS redacted,
  count(*) FILTER (list_contains(reasons, 'content_truncated')) AS truncated,
  count(*) FILTER (list_contains(reasons, 'attributes_dropped')) AS dropped
FROM steps
JOIN t USING (trajectory_id, revision)
LEFT JOIN instructions USING (trajectory_id, revision)
GROUP BY ALL
ORDER BY ALL
