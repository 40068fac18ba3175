SELECT
  fact_id, name, value, coalesce(label, ''), coalesce(explanation, ''), coalesce(source, ''), observed_at,
  trajectory_id, coalesce(trace_id, ''), coalesce(span_id, ''), coalesce(response_id, ''), coalesce(conversation_id, '')
FROM facts
WHERE trajectory_id IS NOT NULL
ORDER BY trajectory_id, fact_id
