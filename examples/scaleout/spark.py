"""Groups of a dataset, by Spark.

    tracegrad sql --dataset dataset --rewards rewards.yaml --format jsonl \\
      "SELECT name, rule_hash, level, weight, missing FROM rules" > rules.jsonl
    spark-submit spark.py dataset rules.jsonl "SELECT * FROM groups ORDER BY std DESC"

It prints the rows as JSON, one a line. The views are those of spark.sql.
"""

import sys
from pathlib import Path

from pyspark.sql import SparkSession

TABLES = ("trajectories", "steps", "rewards")
RULES = "name STRING, rule_hash STRING, level STRING, weight DOUBLE, missing STRING"


def main(dataset: str, rules: str, query: str) -> None:
    spark = SparkSession.builder.appName("groups").getOrCreate()
    for table in TABLES:
        # mergeSchema: files of older versions lack the newest columns.
        files = spark.read.option("mergeSchema", True).parquet(f"{dataset}/v1/{table}")
        files.createOrReplaceTempView(f"files_{table}")
    spark.read.schema(RULES).json(rules).createOrReplaceTempView("rules")
    for view in Path(__file__).with_name("spark.sql").read_text().split(";\n"):
        spark.sql(view)
    for row in spark.sql(query).toJSON().toLocalIterator():
        print(row)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
