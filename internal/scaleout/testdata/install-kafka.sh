#!/bin/bash
# Fetch the jars of a Kafka broker, once: about 10 s and 45 MB. Prints their folder.
# They are checked against kafka.lock.
# Usage: install-kafka.sh CACHE    (Java 17 or newer, Maven)
# Ends with 77 where it cannot run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

skip() {
	echo "$*" >&2
	exit 77
}

version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java\.specification\.version = //p') || skip 'Kafka runs on Java, which is not here'
[ "${version%%.*}" -ge 17 ] || skip "Kafka runs on Java 17 or newer, here is Java $version"
command -v mvn >/dev/null || skip 'Maven fetches Kafka, and is not here'

mkdir -p "$1"
jars=$(cd "$1" && pwd)/kafka-$(sha256sum "$here/kafka.lock" | cut -c1-12)
exec 9>"$jars.lock"
flock 9
if [ ! -e "$jars/ready" ]; then
	rm -rf "$jars"
	mvn --quiet --batch-mode --file "$here/kafka-pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DoutputDirectory="$jars" -DincludeScope=runtime >&2
	(cd "$jars" && sha256sum -- *.jar | diff "$here/kafka.lock" - >&2) || {
		echo 'Maven has other jars of Kafka than kafka.lock' >&2
		exit 1
	}
	touch "$jars/ready"
fi
echo "$jars"
