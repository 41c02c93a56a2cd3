# shellcheck shell=bash
# What the scripts in this folder share. Sourced.
#
# Every command that changes something, here or elsewhere, goes through `run`, `ask` or `on`: with
# --dry-run it is shown instead of run.

DRY_RUN=${DRY_RUN:-}

say() { echo "== $*" >&2; }
stop() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}
usage() {
    # The comment at the head of the script, from its second line to the first that is no comment.
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}
needs() {
    [ -n "$DRY_RUN" ] || command -v "$1" >/dev/null || stop "$1 is missing: $2"
}

# A command so that a shell would take it.
show() {
    local word line='+'
    for word in "$@"; do
        if [[ $word =~ ^[A-Za-z0-9_./:=@,%+-]+$ ]]; then line+=" $word"; else line+=" ${word@Q}"; fi
    done
    echo "$line"
}

# run COMMAND...
run() {
    if [ -n "$DRY_RUN" ]; then show "$@"; else "$@"; fi
}

# ask PLACEHOLDER COMMAND...: what the command says; with --dry-run the placeholder.
ask() {
    local placeholder=$1
    shift
    if [ -n "$DRY_RUN" ]; then
        show "$@" >&2
        echo "$placeholder"
    else
        "$@"
    fi
}

# write PATH: standard input into a new file that only its owner can read.
write() {
    if [ -n "$DRY_RUN" ]; then
        echo "+ write $1:"
        sed 's/^/    /'
    else
        (umask 077 && cat >"$1")
    fi
}

# value_of OPTION VALUE...: the value that must follow an option.
value_of() {
    if [ $# -lt 2 ] || [ -z "$2" ]; then stop "$1 needs a value"; fi
    echo "$2"
}
