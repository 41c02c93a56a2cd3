#!/usr/bin/env bash
# A network of N nodes on this machine, to try things on.
#
#   local.sh [--dry-run] up DIR [N [SLOT_SECONDS]]    start N nodes (3), founded in the new folder DIR
#   local.sh [--dry-run] status DIR                   heights, peers, processes
#   local.sh [--dry-run] down DIR                     stop them; DIR stays
#
# TIMECOIN_CLI names the program where it is not on the path. URLs and logins are in DIR/nodes.json.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

if [ "${1:-}" = --dry-run ]; then
    DRY_RUN=1
    shift
fi
[ $# -ge 2 ] || usage
action=$1 directory=$2
cli=${TIMECOIN_CLI:-timecoin-cli}
needs "$cli" "install the package, or set TIMECOIN_CLI"

case $action in
    up) run "$cli" devnet start --nodes "${3:-3}" --slot "${4:-10}" --dir "$directory" --detach ;;
    status) run "$cli" devnet status --dir "$directory" ;;
    down) run "$cli" devnet stop --dir "$directory" ;;
    *) usage ;;
esac
