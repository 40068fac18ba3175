-- The return of each revision with a current value, whether it lives or not. A
-- rule is a bit at its position: known and nulls are the rules of which there
-- are values and nulls. A reward with the reason not_chosen takes a value back:
-- it is there, and adds nothing.
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
summed AS (
  SELECT
    trajectory_id, revision,
    sum(weight * value) AS total,
    bit_or(CASE WHEN value IS NOT NULL THEN bit ELSE 0 END) AS known,
    bit_or(CASE WHEN value IS NULL AND reason IS DISTINCT FROM 'not_chosen' THEN bit ELSE 0 END) AS nulls
  FROM v1.current JOIN bits USING (name)
  GROUP BY trajectory_id, revision
),
judged AS (
  SELECT
    trajectory_id, revision, total,
    CASE
      WHEN nulls & masking <> 0 OR known & always <> always THEN 'masked'
      WHEN known = 0 AND nulls & steps = steps THEN 'no_value'
      WHEN NOT isfinite(coalesce(total, 0)) THEN 'not_finite'
    END AS reason
  FROM summed CROSS JOIN needed
)
SELECT trajectory_id, revision, CASE WHEN reason IS NULL THEN coalesce(total, 0) END AS value, reason
FROM judged
