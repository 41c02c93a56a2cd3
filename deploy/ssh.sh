#!/usr/bin/env bash
# A network of validators on hosts that are reached by ssh, one on each.
#
#   ssh.sh [--dry-run] --deb FILE --dir DIR [--network testnet] [--user root] [--identity KEY] HOST...
#
# FILE is the package for the hosts' release. DIR is new; keys, wallets, genesis and settings are made in
# it: keep it safe, or remove it when the hosts have what they need. HOST is an address at which the other
# hosts reach this one too. A host that has keys of this network already ends it.
# --dry-run shows every command and file.
#
# The wallets have no passphrase and the keys are made here: right for a test network. For real money see
# the guides: install.rst, keys.rst.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

network=testnet user=root deb='' directory='' identity=''
hosts=()
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) DRY_RUN=1 ;;
        --deb) deb=$(value_of "$@"); shift ;;
        --dir) directory=$(value_of "$@"); shift ;;
        --network) network=$(value_of "$@"); shift ;;
        --user) user=$(value_of "$@"); shift ;;
        --identity) identity=$(value_of "$@"); shift ;;
        -*) usage ;;
        *) hosts+=("$1") ;;
    esac
    shift
done
if [ -z "$deb" ] || [ -z "$directory" ] || [ ${#hosts[@]} = 0 ]; then usage; fi
case $network in
    testnet) port=24100 ;;
    devnet) port=24200 ;;
    *) stop "$network: for test networks only" ;;
esac
cli=${TIMECOIN_CLI:-timecoin-cli}
needs "$cli" "install the package here too, or set TIMECOIN_CLI"
needs ssh "apt-get install openssh-client"
[ -n "$DRY_RUN" ] || [ -e "$deb" ] || stop "there is no $deb"
[ -n "$DRY_RUN" ] || [ ! -e "$directory" ] || stop "$directory is there already: its keys are in use"

options=(-o ConnectTimeout=15 -o StrictHostKeyChecking=accept-new)
[ -z "$identity" ] || options+=(-i "$identity")
sudo='sudo '
[ "$user" != root ] || sudo=''
data=/var/lib/timecoin/$network

# on HOST COMMAND: run by the shell of HOST; SUDO stands for what makes it root's.
on() { run ssh "${options[@]}" "$user@$1" "${2//SUDO /$sudo}"; }

say "keys, wallets, genesis and settings of ${#hosts[@]} validators in $directory"
run mkdir -m 0700 "$directory"
founders=()
number=0
for host in "${hosts[@]}"; do
    number=$((number + 1))
    node=$directory/node$number
    run mkdir -m 0700 "$node"
    wallet=$(ask "{\"address\": \"ADDRESS$number\"}" \
        "$cli" --network "$network" --datadir "$node" wallet new --no-passphrase --json)
    address=$(sed -n 's/.*"address": *"\([^"]*\)".*/\1/p' <<<"$wallet")
    founders+=(--validator "validator$number" --payout "$address" --allocation "$address=100000")
    peers=''
    for other in "${hosts[@]}"; do
        [ "$other" = "$host" ] || peers+=${peers:+,}$other:$port
    done
    write "$node/timecoin.conf" <<SETTINGS
network=$network
datadir=$data
genesis=/etc/timecoin/genesis.json
validator-id=validator$number
bind=0.0.0.0
peers=$peers
SETTINGS
done
run "$cli" genesis create --network "$network" --keys-dir "$directory/keys" \
    --out "$directory/genesis.json" "${founders[@]}"

number=0
for host in "${hosts[@]}"; do
    number=$((number + 1))
    node=$directory/node$number
    say "validator$number on $host"
    on "$host" "SUDO test ! -e $data/keys" || stop "$host has keys in $data already"
    on "$host" "mkdir -m 0700 timecoin-setup"
    run scp -q "${options[@]}" "$deb" "$node/timecoin.conf" "$node/wallet.dat" "$directory/genesis.json" \
        "$directory/keys/validator$number.key" "$user@$host:timecoin-setup/"
    on "$host" "SUDO apt-get update -q"
    on "$host" "SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -q ./timecoin-setup/$(basename "$deb")"
    on "$host" "SUDO install -d -o timecoin -g timecoin -m 0700 $data $data/keys"
    on "$host" "SUDO install -o timecoin -g timecoin -m 0600 timecoin-setup/validator$number.key $data/keys/"
    on "$host" "SUDO install -o timecoin -g timecoin -m 0600 timecoin-setup/wallet.dat $data/"
    on "$host" "SUDO install -o root -g timecoin -m 0640 timecoin-setup/timecoin.conf timecoin-setup/genesis.json /etc/timecoin/"
    on "$host" "rm -r timecoin-setup"
done

# All are set up before the first one starts: the first block waits for two thirds of them.
for host in "${hosts[@]}"; do
    on "$host" "SUDO systemctl enable --now timecoin"
done
for host in "${hosts[@]}"; do
    say "$host"
    on "$host" "cd / && SUDO runuser -u timecoin -- timecoin-cli --config /etc/timecoin/timecoin.conf --rpc-wait --rpc-wait-timeout 120 getblockcount"
done
