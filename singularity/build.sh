#!/bin/bash
# build.sh: build an image, with the versions of requirements.txt.
#
#   build.sh DEFINITION IMAGE [OPTION...]
#
# Wheels are made first, in build/wheels, so that nothing is fetched within the image.
# Options go to `apptainer build`: --fakeroot, --build-arg NAME=VALUE and so on.
set -euo pipefail
if (($# < 2)); then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
fi
definition=$1 image=$2
shift 2

root=$(cd "$(dirname "$0")/.." && pwd)
wheels=$root/build/wheels
apptainer=$(command -v apptainer || command -v singularity) || {
    echo "build.sh: neither apptainer nor singularity is installed" >&2
    exit 1
}

# Wheels for the Python and the C library of the image, whatever runs here
rm -rf "$wheels"
python3 -m pip download --quiet --dest "$wheels" --no-deps --only-binary :all: \
    --implementation cp --python-version 3.11 \
    --platform "manylinux_2_28_$(uname -m)" --platform "manylinux2014_$(uname -m)" \
    --requirement "$root/singularity/requirements.txt"

# From a copy: what an earlier build left here would go into the wheel
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$root"/{setup.cfg,pyproject.toml,README.md,LICENSE,hpc_connector,apps} "$copy"
python3 -m pip wheel --quiet --wheel-dir "$wheels" --no-deps "$copy"

"$apptainer" build --build-arg WHEELS="$wheels" "$@" "$image" "$definition"
