#!/usr/bin/env bash
# Takes the package in dist/ through its life in clean systems of the release that it was built for
# (`make deb-test`, as root): in a chroot, and booted with systemd where containers can be.
#
# deb-test.sh [VENDOR/RELEASE] (debian/trixie): of another release than this machine's. PREVIOUS=FILE names
# the package to upgrade from; without it, the last one with another layout of the store
# (debian/previous.sh), and for other releases this one under an earlier version.
# Status 77: it cannot be done here, and why.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "deb-test: $*"; }
skip() { echo "deb-test: skipped: $*" >&2; exit 77; }

[ "$(id -u)" = 0 ] || skip "it needs root (debootstrap, chroot)"
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "$ID/$VERSION_CODENAME")
release=${1:-$here}
work=$PWD/build/systems/$release
debian/clean-system.sh "$release" "$work/base"
python=$(chroot "$work/base" /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
version=$(dpkg-parsechangelog -S Version)+$(debian/release.sh suffix "$work/base/etc/os-release" "$python")
new=dist/timecoin_${version}_amd64.deb
[ -e "$new" ] || { echo "deb-test: no $new: make deb" >&2; exit 1; }

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

# The text that the new version must log when it first opens the store of the old one.
migration=
previous=${PREVIOUS:-$work/previous.deb}
made=77
if [ -n "${PREVIOUS:-}" ]; then
    made=0
elif [ "$release" = "$here" ]; then
    migration="bringing the store from layout"
    made=0
    debian/previous.sh "$previous" || made=$?
fi
if [ "$made" = 77 ]; then
    say "upgrades from this package under an earlier version"
    migration=
    rm -rf "$work/previous"
    dpkg-deb -R "$new" "$work/previous"
    sed -i "s/^Version: .*/Version: 0.0.1+previous/" "$work/previous/DEBIAN/control"
    dpkg-deb -Zgzip -z1 -b "$work/previous" "$previous" >/dev/null
    rm -rf "$work/previous"
elif [ "$made" != 0 ]; then
    exit 1
fi

say "in a chroot"
fresh
mount -t proc proc "$root/proc"
timeout --kill-after=10s 30m chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LC_ALL=C.UTF-8 /tests/lifecycle /tests/old.deb /tests/new.deb "$migration"
umount "$root/proc"

if ! command -v systemd-nspawn >/dev/null; then
    say "not booted with systemd: systemd-nspawn is missing (package systemd-container)"
    exit 0
fi
say "booted with systemd"
fresh
cat >"$root/etc/systemd/system/lifecycle.service" <<UNIT
[Unit]
Description=The life of the package
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
Environment=HOME=/root LC_ALL=C.UTF-8
ExecStart=/bin/sh -c '/tests/lifecycle /tests/old.deb /tests/new.deb "$migration" >/tests/log 2>&1; echo \$? >/tests/status'
TimeoutStartSec=30min
UNIT
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -s ../lifecycle.service "$root/etc/systemd/system/default.target.wants/lifecycle.service"
timeout --kill-after=10s 31m systemd-nspawn -q -b -D "$root" -M "timecoin-deb-test-$$" --register=no --keep-unit \
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
