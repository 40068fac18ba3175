#!/bin/bash
# Build versitygw, a server that speaks S3 over a folder, into the folder given:
# install.sh FOLDER. Its module is checked against the sum here.
set -euo pipefail

module=github.com/versity/versitygw
version=v1.8.0
sum=h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=

got=$(cd / && GOFLAGS=-mod=mod go mod download -json "$module@$version" | sed -n 's/.*"Sum": "\(.*\)".*/\1/p')
if [ "$got" != "$sum" ]; then
	echo "$module $version has the sum $got instead of $sum" >&2
	exit 1
fi
mkdir -p "$1"
CGO_ENABLED=0 GOFLAGS= GOBIN="$(cd "$1" && pwd)" go install -trimpath "$module/cmd/versitygw@$version"
