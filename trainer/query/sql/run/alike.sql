-- The files whose columns are the same, by the columns. A file's footer tells.
SELECT list(file_name ORDER BY file_name) AS files
FROM (
  SELECT file_name, string_agg(concat_ws(' ', name, type, repetition_type, num_children, converted_type, logical_type), chr(10) ORDER BY column_id) AS columns
  FROM parquet_schema($1::VARCHAR[])
  GROUP BY file_name
)
GROUP BY columns
ORDER BY files
