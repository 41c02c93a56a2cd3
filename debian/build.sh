#!/usr/bin/env bash
# Builds dist/timecoin_VERSION_amd64.deb for the release that this machine runs (`make deb`).
#
# Wheels are fetched once (debian/wheels.sh); the package itself is built without the network. VERSION is
# that of debian/changelog with the release behind it (debian/release.sh). lintian judges the result: an
# error or a warning is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "deb: $*"; }
stop() { echo "deb: $*" >&2; exit 1; }

for tool in dh_virtualenv dpkg-buildpackage lintian; do
    command -v "$tool" >/dev/null || stop "$tool is missing: sudo make tools"
done
# Without the compiler that dpkg-buildpackage would ask for: nothing is compiled.
dpkg-checkbuilddeps -I || stop "sudo make tools"
python=/usr/bin/python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || stop "python3-venv is needed: sudo make tools"

source_version=$(dpkg-parsechangelog -S Version)
suffix=$(debian/release.sh suffix)
distribution=$(debian/release.sh distribution)
version=$source_version+$suffix
work=build/deb/timecoin-$version
python_version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
debian/wheels.sh "$python_version"

say "building timecoin $version"
rm -rf "$work"
mkdir -p "$work" dist
git ls-files -z --cached --others --exclude-standard -- . ':!tests' ':!benchmarks' \
    | tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$work"
cp -r "build/deb/wheels-$python_version" "$work/wheels"
sed -i "1s/($source_version) [a-z]*;/($version) $distribution;/" "$work/debian/changelog"
(cd "$work" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >build/deb/build.log 2>&1 \
    || { tail -n 30 build/deb/build.log >&2; stop "failed; build/deb/build.log has it all"; }
mv "build/deb/timecoin_${version}_amd64.deb" "build/deb/timecoin_${version}_amd64.changes" \
    "build/deb/timecoin_${version}_amd64.buildinfo" dist/
lintian --allow-root --info --fail-on error,warning "dist/timecoin_${version}_amd64.changes" || stop "lintian failed"
say "dist/timecoin_${version}_amd64.deb"
