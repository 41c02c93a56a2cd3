#!/usr/bin/env bash
# What the package says of the release that it is built for: release.sh FIELD [OS_RELEASE [PYTHON]]
#
#   suffix        debian12: follows the version, so that an upgrade of the system brings a newer package
#   distribution  bookworm: stands in the changelog
#   depends       python3 (>= 3.11), python3 (<< 3.12~): a virtual environment has one Python's folder
#
# OS_RELEASE is /etc/os-release, PYTHON the version of /usr/bin/python3, unless they are given.
set -euo pipefail
field=$1
python=${3:-$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
# shellcheck source=/dev/null
. "${2:-/etc/os-release}"

major=${python%%.*} minor=${python#*.}
wanted=$(sed -n 's/^python_requires = >= *//p' "$(dirname "$0")/../setup.cfg")
if [ "$major" -lt "${wanted%%.*}" ] || { [ "$major" = "${wanted%%.*}" ] && [ "$minor" -lt "${wanted#*.}" ]; }; then
    echo "deb: ${PRETTY_NAME:-$ID} has Python $python; $wanted or newer is needed" >&2
    exit 1
fi

case $field in
    suffix) echo "$ID${VERSION_ID:-$VERSION_CODENAME}" ;;
    distribution) echo "$VERSION_CODENAME" ;;
    depends) echo "python3 (>= $python), python3 (<< $major.$((minor + 1))~)" ;;
    *) echo "deb: no field $field" >&2; exit 64 ;;
esac
