#!/bin/bash
# Build the Collector of examples/scaleout/balancer-builder.yaml into the folder
# given: install-balancer.sh FOLDER. Its modules are checked against the sum here.
set -euo pipefail

sum=57f0004046058581dbe90e63179d958ab62fa90a89828653d87f938238f301df # of its go.sum

mkdir -p "$1"
to=$(cd "$1" && pwd)
manifest=examples/scaleout/balancer-builder.yaml
rm -rf "$to/balancer-source"
sed "s,output_path: .*,output_path: $to/balancer-source," "$manifest" >"$to/balancer-builder.yaml"
go tool builder --config "$to/balancer-builder.yaml" --skip-compilation
if ! echo "$sum  $to/balancer-source/go.sum" | sha256sum --check --quiet; then
	echo "$manifest resolves to other modules than it did" >&2
	exit 1
fi
cd "$to/balancer-source"
CGO_ENABLED=0 GOFLAGS= go build -trimpath -ldflags='-s -w' -tags grpcnotrace -o "$to/balancer" .
