#!/usr/bin/env bash
# Takes the package in dist/ through its life in clean systems of the release that it was built for
# (`make deb-test`, as root): in a chroot, and booted with systemd where containers can be.
#
# PREVIOUS=FILE names the package to upgrade from; without it, this one under an earlier version.
# Status 77: it cannot be done here, and why.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "deb-test: $*"; }
skip() { echo "deb-test: skipped: $*" >&2; exit 77; }

[ "$(id -u)" = 0 ] || skip "it needs root (debootstrap, chroot)"
for tool in debootstrap lintian dpkg-deb; do
    command -v "$tool" >/dev/null || skip "$tool is missing: make tools"
done
# shellcheck source=/dev/null
. /etc/os-release
mirror=${MIRROR:-http://deb.debian.org/debian}
work=$PWD/build/deb-test
version=$(dpkg-parsechangelog -S Version)+$ID${VERSION_ID:-}
new=dist/timecoin_${version}_amd64.deb
[ -e "$new" ] || { echo "deb-test: no $new: make deb" >&2; exit 1; }
mkdir -p "$work"

say "lintian"
lintian --allow-root --fail-on error,warning "dist/timecoin_${version}_amd64.changes"

if [ ! -e "$work/base/.complete" ]; then
    say "a clean $VERSION_CODENAME from $mirror"
    rm -rf "$work/base"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps,adduser,python3,curl,ca-certificates \
        "$VERSION_CODENAME" "$work/base" "$mirror" >"$work/debootstrap.log" 2>&1 \
        || { tail -n 5 "$work/debootstrap.log" >&2; skip "debootstrap failed: no network?"; }
    touch "$work/base/.complete"
fi

root=$work/root
cleanup() {
    umount -q "$root/proc" 2>/dev/null || true
    rm -rf "$root"
}
trap cleanup EXIT

fresh() {
    cleanup
    cp -a "$work/base" "$root"
    mkdir "$root/tests"
    cp debian/tests/* "$root/tests/"
    cp "$new" "$root/tests/new.deb"
    cp "$previous" "$root/tests/old.deb"
}

previous=${PREVIOUS:-}
if [ -z "$previous" ]; then
    previous=$work/previous.deb
    rm -rf "$work/previous"
    dpkg-deb -R "$new" "$work/previous"
    sed -i "s/^Version: .*/Version: 0.0.1+previous/" "$work/previous/DEBIAN/control"
    dpkg-deb -Zgzip -z1 -b "$work/previous" "$previous" >/dev/null
    rm -rf "$work/previous"
fi

say "in a chroot"
fresh
mount -t proc proc "$root/proc"
timeout --kill-after=10s 10m chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LC_ALL=C.UTF-8 /tests/lifecycle /tests/old.deb /tests/new.deb
umount "$root/proc"

if ! command -v systemd-nspawn >/dev/null; then
    say "not booted with systemd: systemd-nspawn is missing (package systemd-container)"
    exit 0
fi
say "booted with systemd"
fresh
cat >"$root/etc/systemd/system/lifecycle.service" <<'UNIT'
[Unit]
Description=The life of the package
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
Environment=HOME=/root LC_ALL=C.UTF-8
ExecStart=/bin/sh -c '/tests/lifecycle /tests/old.deb /tests/new.deb >/tests/log 2>&1; echo $? >/tests/status'
TimeoutStartSec=10min
UNIT
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -s ../lifecycle.service "$root/etc/systemd/system/default.target.wants/lifecycle.service"
timeout --kill-after=10s 11m systemd-nspawn -q -b -D "$root" -M "timecoin-deb-test-$$" --register=no --keep-unit \
    --console=pipe </dev/null >"$work/boot.log" 2>&1 || true
if [ ! -e "$root/tests/status" ]; then
    tail -n 20 "$work/boot.log" >&2
    if [ ! -e "$root/tests/log" ]; then
        say "not booted with systemd: no container can be booted here"
        exit 0
    fi
fi
cat "$root/tests/log"
[ "$(cat "$root/tests/status")" = 0 ]
