# shellcheck shell=bash
# A devnet of one validator with the installed package, for the tests in this folder. Sourced.
# With systemd it is the instance timecoin@smoke; else the command of that unit runs as its user.

NAME=smoke
CONFIG=/etc/timecoin/$NAME.conf
DATA=/var/lib/timecoin/$NAME
PEER_PORT=24971
RPC_PORT=24972
LOG=/var/log/timecoin-$NAME.log

say() { echo "== $*"; }
fail() {
    echo "FAILED: $*" >&2
    node_log | tail -n 50 >&2
    exit 1
}
node_log() { if has_systemd; then journalctl -o cat --no-pager -u "timecoin@$NAME"; else cat "$LOG"; fi; }
has_systemd() { [ -d /run/systemd/system ]; }
as_node() { (cd / && runuser -u timecoin -- "$@"); }
cli() { as_node timecoin-cli --config "$CONFIG" "$@"; }

# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

found_network() {
    local address
    as_node mkdir -m 0700 "$DATA"
    address=$(as_node timecoin-cli --network devnet --datadir "$DATA" wallet new --no-passphrase --json \
        | python3 -c 'import json, sys; print(json.load(sys.stdin)["address"])')
    as_node timecoin-cli genesis create --network devnet --slot 1 --validator alice \
        --keys-dir "$DATA/keys" --payout "$address" --allocation "$address=1000" --out "$DATA/first.json"
    cat >"$CONFIG" <<SETTINGS
network=devnet
datadir=$DATA
genesis=$DATA/first.json
validator-id=alice
port=$PEER_PORT
rpc-bind=127.0.0.1:$RPC_PORT
rpctls=1
rpcuser=smoke
rpcpassword=smoke-password
SETTINGS
    chown root:timecoin "$CONFIG"
    chmod 0640 "$CONFIG"
}

start_node() {
    if has_systemd; then
        systemctl start "timecoin@$NAME" || fail "the unit does not start"
    else
        local command
        command=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/timecoin@.service)
        # shellcheck disable=SC2086 # the words of the command
        (umask 0077 && cd /var/lib/timecoin && exec runuser -u timecoin -- ${command//%i/$NAME}) >>"$LOG" 2>&1 &
        node_job=$!
        trap 'kill "$node_job" 2>/dev/null || true' EXIT
    fi
    until_true 300 answers || fail "no answer over HTTPS"
}

stop_node() {
    if has_systemd; then
        systemctl stop "timecoin@$NAME"
        [ "$(systemctl show -P Result "timecoin@$NAME")" = success ] || fail "it did not stop in order"
    else
        pkill -TERM -u timecoin -f bin/twistd || fail "it does not run"
        wait "$node_job" || fail "it did not stop in order"
    fi
}

# rpc METHOD: the answer over HTTPS, with the certificate that the node has made for itself.
rpc() {
    curl -sS --fail --cacert "$DATA/rpc.cert" -u smoke:smoke-password "https://127.0.0.1:$RPC_PORT/" \
        -H 'content-type: application/json' -d "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"$1\"}"
}
answers() { rpc uptime >/dev/null 2>&1; }
height() { rpc getblockcount | python3 -c 'import json, sys; print(json.load(sys.stdin)["result"])'; }
has_height() { [ "$(height)" -ge "$1" ]; }

# mode_is PATH MODE OWNER
mode_is() { [ "$(stat -c '%a %U:%G' "$1")" = "$2 $3" ] || fail "$1 is $(stat -c '%a %U:%G' "$1")"; }
