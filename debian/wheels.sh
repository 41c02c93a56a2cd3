#!/usr/bin/env bash
# Fetches the wheels of a package for Python PYTHON, unless they are there: wheels.sh PYTHON
#
# Exactly the versions of constraints.txt, into build/deb/wheels-PYTHON, by this machine's Python and pip
# settings. PYTHON may be that of another release (3.13).
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
wheels=build/deb/wheels-$python

if cmp -s constraints.txt "$wheels/.constraints" && cmp -s setup.cfg "$wheels/.setup"; then exit 0; fi
echo "deb: fetching wheels into $wheels"
rm -rf "$wheels" build/deb/venv
mkdir -p "$wheels"
/usr/bin/python3 -m venv build/deb/venv
/usr/bin/python3 - >"$wheels/.wanted" <<'PYTHON'
import configparser

settings = configparser.ConfigParser()
settings.read("setup.cfg")
print(settings["options"]["install_requires"])
print("setuptools\nwheel")
PYTHON
build/deb/venv/bin/pip download -q --disable-pip-version-check --only-binary :all: --python-version "$python" \
    -c constraints.txt -r "$wheels/.wanted" -d "$wheels"
cp constraints.txt "$wheels/.constraints"
cp setup.cfg "$wheels/.setup"
