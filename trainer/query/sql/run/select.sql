FROM (
{{.Candidates}}
)
ORDER BY trajectory_id
