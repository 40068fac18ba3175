SELECT
  r.trajectory_id, coalesce(r.step_index, -1), r.name, r.value, coalesce(r.reason, ''), coalesce(r.explanation, ''),
  coalesce(r.source, ''), coalesce(r.rule_hash, ''), coalesce(r.provisional, false), r.evaluated_at
FROM rewards r JOIN rules USING (name)
ORDER BY r.trajectory_id, rules.position, r.name, r.step_index
