-- The return of each revision with a current value, whether it lives or not. A
-- rule is a bit at its position: known and nulls are the rules of which there
-- are values and nulls, gated those that were not chosen. A reward with the reason
-- not_chosen is there, and adds nothing: it takes a step's value back, or says that
-- the rule is not about this trajectory.
CREATE VIEW v1.scores AS
WITH bits AS (
  SELECT *, 1::UBIGINT << position AS bit FROM v1.rules
),
needed AS (
  SELECT
    coalesce(bit_or(bit) FILTER (missing = 'mask'), 0) AS masking,
    coalesce(bit_or(bit) FILTER (missing = 'mask' AND level = 'trajectory'), 0) AS always,
    coalesce(bit_or(bit) FILTER (level = 'step'), 0) AS steps
  FROM bits
),
{{- define "sums"}}
    trajectory_id, revision,
    sum(weight * value) AS total,
    bit_or(CASE WHEN value IS NOT NULL THEN bit ELSE 0 END) AS known,
    bit_or(CASE WHEN value IS NULL AND reason IS DISTINCT FROM 'not_chosen' THEN bit ELSE 0 END) AS nulls,
    bit_or(CASE WHEN value IS NULL AND reason = 'not_chosen' THEN bit ELSE 0 END) AS gated
{{- end}}
{{- if .Steps}}
summed AS (
  SELECT {{template "sums"}}
  FROM v1.current JOIN bits USING (name)
  GROUP BY trajectory_id, revision
),
{{- else}}
-- Every rule has one value per trajectory: more rows than rules tell that there
-- is a second one, which spares the search that v1.current has to make.
first AS MATERIALIZED (
  SELECT {{template "sums"}},
    count(*) > bit_count(bit_or(bit)) AS several
  FROM files.rewards JOIN bits USING (name, rule_hash)
  GROUP BY trajectory_id, revision
),
newest AS (
  SELECT * FROM files.rewards
  SEMI JOIN (SELECT trajectory_id, revision FROM first WHERE several) USING (trajectory_id, revision)
  JOIN bits USING (name, rule_hash)
  QUALIFY row_number() OVER (
    PARTITION BY trajectory_id, revision, step_index, name
    ORDER BY evaluated_at DESC NULLS LAST, batch DESC
  ) = 1
),
summed AS (
  SELECT * EXCLUDE (several) FROM first WHERE NOT several
  UNION ALL
  SELECT {{template "sums"}}
  FROM newest
  GROUP BY trajectory_id, revision
),
{{- end}}
judged AS (
  SELECT
    trajectory_id, revision, total,
    CASE
      WHEN nulls & masking <> 0 OR (known | gated) & always <> always THEN 'masked'
      WHEN known = 0 AND nulls & steps = steps THEN 'no_value'
      WHEN NOT isfinite(coalesce(total, 0)) THEN 'not_finite'
    END AS reason
  FROM summed CROSS JOIN needed
)
SELECT trajectory_id, revision, CASE WHEN reason IS NULL THEN coalesce(total, 0) END AS value, reason
FROM judged
