-- The rules that decide which rewards are current. Where none were given (no
-- rewards file), the rule of each name that was evaluated last; its weight is
-- then unknown.
CREATE VIEW rules AS
SELECT * FROM v1.rules
UNION ALL
SELECT NULL, name, arg_max(rule_hash, evaluated_at), NULL, NULL, NULL
FROM files.rewards
WHERE NOT EXISTS (FROM v1.rules)
GROUP BY name
