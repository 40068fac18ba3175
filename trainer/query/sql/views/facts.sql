-- Each fact once (of several with one id the newest observation), joined to the live trajectory it is about by the most specific
-- id it carries: trajectory, span, response, trace, conversation. A fact about a
-- conversation belongs to its last trajectory that had begun by then. A fact
-- that fits nothing (yet) keeps trajectory_id NULL.
CREATE VIEW facts AS
WITH said AS (
  FROM files.facts
  QUALIFY row_number() OVER (PARTITION BY fact_id ORDER BY observed_at DESC NULLS LAST, batch DESC, value DESC NULLS LAST) = 1
),
candidates AS (
  SELECT f.fact_id, t.trajectory_id, 1 AS distance, 'trajectory' AS matched_by
  FROM said f JOIN live t ON f.trajectory_id = t.trajectory_id
  UNION ALL
  SELECT DISTINCT f.fact_id, s.trajectory_id, 2, 'span'
  FROM said f JOIN steps s ON f.span_id = s.span_id AND coalesce(f.trace_id, s.trace_id) = s.trace_id
  UNION ALL
  SELECT DISTINCT f.fact_id, s.trajectory_id, 3, 'response'
  FROM said f JOIN steps s ON f.response_id = s.response_id
  UNION ALL
  SELECT DISTINCT f.fact_id, t.trajectory_id, 4, 'trace'
  FROM said f JOIN (SELECT trajectory_id, unnest(trace_ids) AS trace_id FROM trajectories) t ON f.trace_id = t.trace_id
  UNION ALL
  SELECT f.fact_id, arg_max(t.trajectory_id, {'at': t.started_at, 'id': t.trajectory_id}), 5, 'conversation'
  FROM said f JOIN trajectories t ON f.conversation_id = t.conversation_id
    AND (f.observed_at IS NULL OR t.started_at IS NULL OR t.started_at <= f.observed_at)
  GROUP BY f.fact_id
),
matched AS (
  FROM candidates
  QUALIFY rank() OVER (PARTITION BY fact_id ORDER BY distance) = 1
)
SELECT f.* REPLACE (m.trajectory_id AS trajectory_id), m.matched_by
FROM said f LEFT JOIN matched m USING (fact_id)
