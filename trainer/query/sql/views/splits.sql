-- What several collectors had a part of, though only one could have it whole:
-- traces, and conversations whose calls are traces of their own. Who imports
-- files sees again what others saw.
CREATE VIEW splits AS
{{- if not .Writers}}
SELECT NULL::VARCHAR AS kind, NULL::VARCHAR AS id, NULL::VARCHAR AS service_name,
  NULL::VARCHAR[] AS writers, NULL::VARCHAR[] AS trajectories, NULL::TIMESTAMP AS started_at
WHERE false
{{- else}}
WITH seen AS (
  SELECT trajectory_id, writer, trace_ids, conversation_id, service_name, close_reason, started_at, ended_at
  FROM files.trajectories
  WHERE source IS DISTINCT FROM 'import' AND writer IS NOT NULL
),
traces AS (
  SELECT unnest(trace_ids) AS trace_id, * EXCLUDE (trace_ids) FROM seen
),
-- A run without a root ends when nothing more comes. Another one of the same
-- conversation that begins elsewhere before 60 s of silence, the processor's
-- default, would have been joined to it or told apart from it.
pieces AS (
  SELECT *,
    max(ended_at) OVER earlier AS quiet_since,
    arg_max(writer, ended_at) OVER earlier AS last_writer
  FROM seen
  WHERE conversation_id IS NOT NULL AND close_reason NOT IN ('complete', 'late')
  WINDOW earlier AS (PARTITION BY conversation_id ORDER BY started_at, trajectory_id, writer ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
parted AS (
  SELECT DISTINCT conversation_id FROM pieces
  WHERE writer <> last_writer AND started_at <= quiet_since + INTERVAL 60 SECONDS
)
SELECT 'trace' AS kind, trace_id AS id, min(service_name) AS service_name,
  list(DISTINCT writer ORDER BY writer) AS writers, list(DISTINCT trajectory_id ORDER BY trajectory_id) AS trajectories, min(started_at) AS started_at
FROM traces
GROUP BY trace_id
HAVING min(writer) < max(writer)
UNION ALL
SELECT 'conversation', conversation_id, min(service_name),
  list(DISTINCT writer ORDER BY writer), list(DISTINCT trajectory_id ORDER BY trajectory_id), min(started_at)
FROM pieces
SEMI JOIN parted USING (conversation_id)
GROUP BY conversation_id
{{- end}}
