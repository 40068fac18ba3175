-- How much was split over collectors, and an example.
SELECT kind, count(*), arg_min(id, (started_at, id)), arg_min(array_to_string(writers, ', '), (started_at, id))
FROM splits
GROUP BY kind
ORDER BY kind
