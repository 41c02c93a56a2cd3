#!/usr/bin/env bash
# Builds the last package with another layout of the store: previous.sh FILE (as root or not).
#
# The commit before the one that changed the layout last is built as it was, and named version 0.0.1.
# Status 77: the history is not here.
set -euo pipefail
cd "$(dirname "$0")/.."
result=$1
changed=$(git log -n 1 --format=%H -G'^SCHEMA_VERSION = ' -- timecoin/store/schema.py)
if [ -z "$changed" ] || ! commit=$(git rev-parse -q --verify "$changed^"); then
    echo "previous: the commit before the last change of the store's layout is not here" >&2
    exit 77
fi

work=$PWD/build/previous/${commit:0:12}
if [ ! -e "$work/dist" ]; then
    echo "previous: building $(git log -n 1 --format='%h of %cs' "$commit")"
    rm -rf "$work"
    mkdir -p "$work"
    git archive "$commit" | tar --extract --directory "$work"
    git -C "$work" init -q
    "$work/debian/build.sh"
fi
rm -rf "$work/renamed"
dpkg-deb -R "$work"/dist/*.deb "$work/renamed"
sed -i 's/^Version: .*/Version: 0.0.1+previous/' "$work/renamed/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/renamed" "$result" >/dev/null
rm -rf "$work/renamed"
