#!/usr/bin/env bash
# Five validators of a test network on DigitalOcean (doctl, logged in).
#
#   digitalocean.sh [--dry-run] up --deb FILE --dir DIR --ssh-key FINGERPRINT [--identity KEY]
#                   [--nodes 5] [--region fra1] [--size s-1vcpu-1gb] [--name timecoin]
#   digitalocean.sh [--dry-run] down [--name timecoin]
#
# `up` makes Debian 12 droplets with the tag NAME and a firewall of that name (ssh and the peers' port),
# and founds the network on them by ssh.sh. `down` removes both, and everything on them.
# --dry-run shows every command. It costs money while it runs.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

action='' deb='' directory='' key='' identity='' nodes=5 region=fra1 size=s-1vcpu-1gb name=timecoin
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) DRY_RUN=1 ;;
        --deb) deb=$(value_of "$@"); shift ;;
        --dir) directory=$(value_of "$@"); shift ;;
        --ssh-key) key=$(value_of "$@"); shift ;;
        --identity) identity=$(value_of "$@"); shift ;;
        --nodes) nodes=$(value_of "$@"); shift ;;
        --region) region=$(value_of "$@"); shift ;;
        --size) size=$(value_of "$@"); shift ;;
        --name) name=$(value_of "$@"); shift ;;
        up | down) action=$1 ;;
        *) usage ;;
    esac
    shift
done
install=https://docs.digitalocean.com/reference/doctl/how-to/install/

firewall() {
    ask FIREWALL_ID doctl compute firewall list --format ID,Name --no-header \
        | awk -v name="$name" 'NF == 1 || $2 == name { print $1 }'
}

case $action in
    up)
        if [ -z "$deb" ] || [ -z "$directory" ] || [ -z "$key" ]; then usage; fi
        needs doctl "$install"
        names=() placeholders=''
        for ((number = 1; number <= nodes; number++)); do
            names+=("$name-$number")
            placeholders+="HOST$number "
        done
        say "$nodes droplets"
        run doctl compute droplet create "${names[@]}" --image debian-12-x64 --region "$region" \
            --size "$size" --ssh-keys "$key" --tag-name "$name" --wait
        run doctl compute firewall create --name "$name" --tag-names "$name" \
            --inbound-rules 'protocol:tcp,ports:22,address:0.0.0.0/0,address:::/0 protocol:tcp,ports:24100,address:0.0.0.0/0,address:::/0' \
            --outbound-rules 'protocol:tcp,ports:all,address:0.0.0.0/0,address:::/0 protocol:udp,ports:all,address:0.0.0.0/0,address:::/0'
        read -r -d '' -a hosts < <(ask "$placeholders" doctl compute droplet list --tag-name "$name" \
            --format PublicIPv4 --no-header && printf '\0')
        [ ${#hosts[@]} = "$nodes" ] || stop "${#hosts[@]} of $nodes droplets have an address"
        more=()
        [ -z "$DRY_RUN" ] || more+=(--dry-run)
        [ -z "$identity" ] || more+=(--identity "$identity")
        "$here/ssh.sh" "${more[@]}" --deb "$deb" --dir "$directory" --network testnet "${hosts[@]}"
        ;;
    down)
        needs doctl "$install"
        say "removing all droplets with the tag $name"
        run doctl compute droplet delete --tag-name "$name" --force
        found=$(firewall)
        [ -z "$found" ] || run doctl compute firewall delete "$found" --force
        ;;
    *) usage ;;
esac
