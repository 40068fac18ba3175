# Builds stand-ins for the libraries of CUDA that torch's wheel links but never
# calls on a machine without a GPU: each has the names that torch asks for, and
# whoever calls one is stopped. 1.7 GB are installed in the place of 5.4 GB.
# Usage: bash stand-ins.sh PYTHON    (of the environment; needs gcc and binutils)
set -euo pipefail
cd "$("$1" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
to=nvidia/cu13/lib
mkdir -p "$to"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

names() { # names FLAG FILE…: the symbols of libraries, without their versions
  local flag=$1
  shift
  nm -D "$flag" "$@" 2>/dev/null | awk '{ print $NF }' | sed 's/@.*//' | sort -u
}

versions() { # versions LIBRARY: the symbol versions that torch asks of it
  readelf -VW torch/lib/*.so 2>/dev/null | awk -v library="$1" '
    /File: / { on = 0; for (i = 1; i < NF; i++) if ($i == "File:" && $(i + 1) == library) on = 1; next }
    /Name: / { if (on) for (i = 1; i < NF; i++) if ($i == "Name:") print $(i + 1); next }
    { on = 0 }' | sort -u
}

names --undefined-only torch/lib/*.so | { grep -E '^(cu|nv|nccl)' || true; } >"$work/wanted"
names --defined-only torch/lib/*.so "$to"/libcudart.so.* "$to"/libcupti.so.* >"$work/there"
comm -23 "$work/wanted" "$work/there" | sed 's/.*/void &(void) { __builtin_trap(); }/' >"$work/all.c"

for library in $(readelf -d torch/lib/*.so | grep NEEDED | grep -oE 'lib(cu|nv|nccl)[A-Za-z_]*\.so\.[0-9]+' | sort -u); do
  if [ "$library" = libcuda.so.1 ] || find nvidia -name "$library" -size +200k | grep -q .; then
    continue
  fi
  versions "$library" | sed 's/.*/&{};/' >"$work/map"
  script=()
  if [ -s "$work/map" ]; then
    sed -i '1s/{}/{global:*;}/' "$work/map"
    script=("-Wl,--version-script=$work/map")
  fi
  gcc -w -shared -fPIC -s -o "$to/$library" "-Wl,-soname,$library" "${script[@]}" "$work/all.c"
  echo "stand-in for $library"
done
