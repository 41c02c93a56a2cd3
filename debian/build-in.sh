#!/usr/bin/env bash
# Builds the package of another release in a clean system of it: build-in.sh VENDOR/RELEASE
# (`make deb RELEASE=debian/trixie`, as root). What is built and how it is checked is debian/build.sh,
# which runs there as on a machine with that release.
set -euo pipefail
cd "$(dirname "$0")/.."
release=$1
systems=$PWD/build/systems/$release
debian/clean-system.sh "$release" "$systems/base"

root=$systems/build
cleanup() { umount -q "$root/proc" 2>/dev/null || true; }
trap cleanup EXIT
inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}

if [ ! -e "$root/.complete" ]; then
    echo "deb: what the build needs, into $root"
    rm -rf "$root"
    cp -a "$systems/base" "$root"
    rm "$root/.complete"
    mount -t proc proc "$root/proc"
    inside apt-get update -q >"$systems/tools.log"
    inside apt-get install -y -q --no-install-recommends debhelper dh-virtualenv dpkg-dev git lintian man-db \
        python3-venv >>"$systems/tools.log" 2>&1 || { tail -n 5 "$systems/tools.log" >&2; exit 1; }
    touch "$root/.complete"
else
    mount -t proc proc "$root/proc"
fi

# This machine fetches the wheels: it may know an index or a certificate that a clean system does not.
python=$(inside /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
debian/wheels.sh "$python"
rm -rf "$root/src"
mkdir -p "$root/src/build/deb"
cp -r "build/deb/wheels-$python" "$root/src/build/deb/"
git ls-files -z --cached --others --exclude-standard \
    | tar --create --null --files-from=- --ignore-failed-read | tar --extract --no-same-owner --directory "$root/src"
inside git -C /src init -q
inside /src/debian/build.sh
mkdir -p dist
cp "$root"/src/dist/* dist/
