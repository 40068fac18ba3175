-- What each model call was sent and what it answered, rebuilt from the messages
-- that are stored once. NULL = the telemetry does not show it.
CREATE VIEW prompts AS
WITH said AS (
  SELECT
    trajectory_id, revision,
    list({
      'role': role, 'text': text, 'reasoning': reasoning, 'tool_calls': tool_calls,
      'tool_call_id': tool_call_id, 'name': name, 'injected': injected, 'parts': parts
    } ORDER BY message_index) AS all_messages
  FROM messages
  GROUP BY trajectory_id, revision
)
SELECT
  s.trajectory_id, s.revision, s.step_index, s.thread, s.agent_name, s.request_model, s.response_id,
  list_transform(s.input_messages, lambda i: all_messages[i + 1]) AS messages,
  list_transform(s.output_messages, lambda i: all_messages[i + 1]) AS reply
FROM steps s
LEFT JOIN said USING (trajectory_id, revision)
WHERE s.kind = 'model'
