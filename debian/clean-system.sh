#!/usr/bin/env bash
# Makes a clean system in DIRECTORY, as root, unless it is there: clean-system.sh VENDOR/RELEASE DIRECTORY
#
# VENDOR/RELEASE is debian/bookworm, ubuntu/noble, ... MIRROR=URL and KEYRING=FILE replace debootstrap's own.
# Status 77: it cannot be done here, and why.
set -euo pipefail
release=$1 directory=$2

skip() { echo "clean-system: skipped: $*" >&2; exit 77; }

[ "$(id -u)" = 0 ] || skip "debootstrap needs root"
command -v debootstrap >/dev/null || skip "debootstrap is missing: make tools"
if [ -e "$directory/.complete" ]; then exit 0; fi

# By the script of the vendor: debootstrap may be older than the release.
case $release in
    debian/*) vendor=(--components=main) script=sid ;;
    ubuntu/*) vendor=(--components="main,universe") script=gutsy ;;
    *) skip "no release $release" ;;
esac
if [ -n "${KEYRING:-}" ]; then vendor+=(--keyring="$KEYRING"); fi
echo "clean-system: $release in $directory"
rm -rf "$directory"
mkdir -p "$(dirname "$directory")"
debootstrap --variant=minbase "${vendor[@]}" \
    --include=systemd,systemd-sysv,dbus,procps,adduser,python3,curl,ca-certificates \
    "${release#*/}" "$directory" "${MIRROR:-}" "/usr/share/debootstrap/scripts/$script" >"$directory.log" 2>&1 \
    || { tail -n 5 "$directory.log" >&2; skip "debootstrap failed: no network?"; }
touch "$directory/.complete"
