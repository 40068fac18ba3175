-- Per revision with a current value: the sum, and the rules of which there are
-- values and nulls, each rule a bit at its position. A reward with the reason
-- not_chosen takes a value back: it is there, and adds nothing.
CREATE VIEW v1.scores AS
SELECT
  trajectory_id, revision,
  sum(weight * value) AS total,
  bit_or(CASE WHEN value IS NOT NULL THEN bit ELSE 0 END) AS known,
  bit_or(CASE WHEN value IS NULL AND reason IS DISTINCT FROM 'not_chosen' THEN bit ELSE 0 END) AS nulls
FROM v1.current
JOIN (SELECT name, weight, 1::UBIGINT << position AS bit FROM v1.rules) USING (name)
GROUP BY trajectory_id, revision
