#!/usr/bin/env bash
# Five validators of a test network on Amazon EC2 (aws, logged in, with a region).
#
#   aws.sh [--dry-run] up --deb FILE --dir DIR --key-name NAME [--identity KEY]
#          [--nodes 5] [--type t3.small] [--name timecoin]
#   aws.sh [--dry-run] down [--name timecoin]
#
# `up` makes Debian 12 instances and a security group with the tag timecoin=NAME (ssh and the peers' port),
# and founds the network on them by ssh.sh. `down` removes both, and everything on them.
# --dry-run shows every command. It costs money while it runs.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

action='' deb='' directory='' key='' identity='' nodes=5 kind=t3.small name=timecoin
# Debian's own account: https://wiki.debian.org/Cloud/AmazonEC2Image
debian=136693071363
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) DRY_RUN=1 ;;
        --deb) deb=$(value_of "$@"); shift ;;
        --dir) directory=$(value_of "$@"); shift ;;
        --key-name) key=$(value_of "$@"); shift ;;
        --identity) identity=$(value_of "$@"); shift ;;
        --nodes) nodes=$(value_of "$@"); shift ;;
        --type) kind=$(value_of "$@"); shift ;;
        --name) name=$(value_of "$@"); shift ;;
        up | down) action=$1 ;;
        *) usage ;;
    esac
    shift
done
alive=("Name=tag:timecoin,Values=$name" "Name=instance-state-name,Values=pending,running")
instances() {
    ask INSTANCE_IDS aws ec2 describe-instances --filters "${alive[@]}" \
        --query 'Reservations[].Instances[].InstanceId' --output text
}

case $action in
    up)
        if [ -z "$deb" ] || [ -z "$directory" ] || [ -z "$key" ]; then usage; fi
        needs aws "apt-get install awscli"
        image=$(ask AMI_ID aws ec2 describe-images --owners "$debian" \
            --filters 'Name=name,Values=debian-12-amd64-*' \
            --query 'sort_by(Images, &CreationDate)[-1].ImageId' --output text)
        group=$(ask GROUP_ID aws ec2 create-security-group --group-name "$name" \
            --description "TIME Coin test network" --query GroupId --output text)
        run aws ec2 create-tags --resources "$group" --tags "Key=timecoin,Value=$name"
        for port in 22 24100; do
            run aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp \
                --port "$port" --cidr 0.0.0.0/0
        done
        say "$nodes instances"
        run aws ec2 run-instances --image-id "$image" --count "$nodes" --instance-type "$kind" \
            --key-name "$key" --security-group-ids "$group" \
            --tag-specifications "ResourceType=instance,Tags=[{Key=timecoin,Value=$name}]"
        read -r -a made <<<"$(instances | tr '\n' ' ')"
        run aws ec2 wait instance-status-ok --instance-ids "${made[@]}"
        placeholders=''
        for ((number = 1; number <= nodes; number++)); do placeholders+="HOST$number "; done
        read -r -a hosts <<<"$(ask "$placeholders" aws ec2 describe-instances --filters "${alive[@]}" \
            --query 'Reservations[].Instances[].PublicIpAddress' --output text | tr '\n' ' ')"
        [ ${#hosts[@]} = "$nodes" ] || stop "${#hosts[@]} of $nodes instances have an address"
        more=()
        [ -z "$DRY_RUN" ] || more+=(--dry-run)
        [ -z "$identity" ] || more+=(--identity "$identity")
        "$here/ssh.sh" "${more[@]}" --user admin --deb "$deb" --dir "$directory" --network testnet "${hosts[@]}"
        ;;
    down)
        needs aws "apt-get install awscli"
        say "removing all instances with the tag timecoin=$name"
        read -r -a made <<<"$(instances | tr '\n' ' ')"
        if [ ${#made[@]} -gt 0 ]; then
            run aws ec2 terminate-instances --instance-ids "${made[@]}"
            run aws ec2 wait instance-terminated --instance-ids "${made[@]}"
        fi
        run aws ec2 delete-security-group --group-name "$name"
        ;;
    *) usage ;;
esac
