#!/bin/bash
# Make an environment with Spark, once: about half a minute, 520 MB, and three times
# that meanwhile. Prints the Python to run.
# Usage: install-spark.sh CACHE    (Java 17 or newer, Python 3.10 or newer)
# Ends with 77 where it cannot run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

skip() {
	echo "$*" >&2
	exit 77
}

version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java\.specification\.version = //p') || skip 'Spark runs on Java, which is not here'
[ "${version%%.*}" -ge 17 ] || skip "Spark runs on Java 17 or newer, here is Java $version"
python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || skip 'Spark is tested with Python 3.10 or newer, which is not here'

mkdir -p "$1"
environment=$(cd "$1" && pwd)/spark-$(sha256sum "$here/spark.lock" | cut -c1-12)
python=$environment/bin/python
exec 9>"$environment.lock"
flock 9
if [ ! -e "$environment/ready" ]; then
	python3 -m venv --clear "$environment"
	mkdir "$environment/tmp"
	TMPDIR=$environment/tmp "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-cache-dir --no-deps --require-hashes -r "$here/spark.lock" >&2
	rm -rf "$environment/tmp"
	touch "$environment/ready"
fi
echo "$python"
