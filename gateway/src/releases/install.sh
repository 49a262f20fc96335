#!/bin/sh
# Makes this computer a node of a Starling swarm, or brings its node up to date:
#
#   curl -fsSL @@URL@@/install.sh | sudo sh -s -- starling-invite-…
#
# It downloads the signed release of the gateway below, checks signature and checksum, puts starling-node into its place,
# joins the swarm, and starts the node as a service. Run it again for a newer release, or to go on after a failure.
# The invite may also be in the environment (STARLING_INVITE), on the input (-, for a script in a file), or typed in.

set -eu
umask 022

# Of the gateway that this script came from; the key is what every later release has to be signed with.
URL='@@URL@@'
KEY='@@KEY@@'
VERSION='@@VERSION@@'

PROGRAM=starling-node
DIR=/usr/local/bin
DATA=/var/lib/starling-node
CONFIG=/etc/starling/node.toml

usage() {
    cat <<'END'
usage: install.sh [INVITE | -] [--model MODEL] [--no-service] [--auto-update] [--dir DIR]
       install.sh --uninstall [--purge] [--dir DIR]

  INVITE         what the gateway's page "Add a node" shows; not needed where a node has joined already
  --model MODEL  a GGUF file, or a name such as hf:Qwen/Qwen3-8B-GGUF:Q5_K_M, which is downloaded
  --no-service   only install and join
  --auto-update  have the node take newer releases by itself, each day (needs the service)
  --dir DIR      where the program goes [/usr/local/bin]
  --uninstall    take the service and the program away; the node's folder stays
  --purge        with --uninstall: the node's folder and its configuration too
END
}

say() {
    printf '==> %s\n' "$*" >&2
}

note() {
    printf '    %s\n' "$*" >&2
}

# What went wrong, and what to do about it.
fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

main() {
    invite=${STARLING_INVITE:-}
    unset STARLING_INVITE
    model='' service=yes updates='' action=install purge=no
    while [ $# -gt 0 ]; do
        case $1 in
        --model | --dir)
            [ $# -ge 2 ] || fail "$1 needs a value" "see --help"
            if [ "$1" = --model ]; then model=$2; else DIR=$2; fi
            shift
            ;;
        --no-service) service=no ;;
        --auto-update) updates=--auto-update ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        -) IFS= read -r invite || true ;;
        -*) fail "there is no option $1" "see --help" ;;
        *) invite=$1 ;;
        esac
        shift
    done
    case $DIR in
    /*) ;;
    *) fail "--dir needs a whole path" "give one that begins with /" ;;
    esac
    [ "$(id -u)" = 0 ] || fail "only root may do this" "put sudo before sh, as in: curl -fsSL $URL/install.sh | sudo sh -s -- INVITE"
    if [ "$action" = uninstall ]; then uninstall; else install_node; fi
}

install_node() {
    check_words
    check_system
    work=$(mktemp -d "${TMPDIR:-/tmp}/starling.XXXXXX")
    placed=no had_old=no
    # Whatever ends it before the last step: what was begun is taken back.
    trap 'roll_back' EXIT
    trap 'exit 130' INT HUP TERM
    download_release
    place_program
    join_swarm
    write_config
    pull_model
    look_around
    start_service
    placed=kept
    say "done: $PROGRAM $VERSION"
}

# What has been typed in, before anything else is done with it.
check_words() {
    case $invite in
    '' | starling-invite-*) ;;
    *) fail "that is no invite" "an invite begins with starling-invite- and stands on the gateway's page \"Add a node\"" ;;
    esac
    case $model in
    *"'"* | *'
'*) fail "the model's name has a quote in it" "give a path without one" ;;
    esac
    # The service has another folder than this shell.
    case $model in
    '' | /* | hf:* | https://*) ;;
    *) model=$PWD/$model ;;
    esac
    case $model in
    /home/* | /root/*) note "the service sees no home folders: move $model to $DATA/models, or start the node by hand" ;;
    esac
    if [ -z "$invite" ] && [ ! -e "$DATA/membership.cbor" ]; then ask_invite; fi
}

# The input is this script where it was piped in; a person sits at the terminal.
ask_invite() {
    if ! (: </dev/tty) 2>/dev/null; then
        fail "an invite is missing" "make one on the gateway's page \"Add a node\" and give it behind: sh -s --"
    fi
    printf 'Invite (from the page "Add a node" of %s): ' "$URL" >/dev/tty
    IFS= read -r invite </dev/tty || true
    case $invite in
    starling-invite-*) ;;
    *) fail "that is no invite" "an invite begins with starling-invite-" ;;
    esac
}

check_system() {
    system=$(uname -s) machine=$(uname -m)
    [ "$system" = Linux ] || fail "this script is for Linux, and this is $system" "on Windows use $URL/install.ps1; elsewhere build from source"
    case $machine in
    x86_64 | amd64) ;;
    *) fail "there is no package for $machine" "build from source: cargo build --release -p $PROGRAM" ;;
    esac
    for tool in tar gzip sed tr mktemp dd od; do
        has "$tool" || fail "this computer has no $tool" "install it with your system's package manager"
    done
    has curl || has wget || fail "this computer has neither curl nor wget" "install curl with your system's package manager"
    has sha256sum || has openssl || fail "this computer cannot compute SHA-256" "install coreutils or openssl"
    has minisign || can_openssl || fail "this computer cannot check signatures" "install openssl 3 or minisign, e.g.: apt install minisign"
    case $URL in
    https://*) ;;
    *) note "the gateway is reached without encryption: whoever is on the way could have changed this script" ;;
    esac
    if has dpkg && [ -e /usr/bin/$PROGRAM ] && dpkg -S /usr/bin/$PROGRAM >/dev/null 2>&1; then
        fail "$PROGRAM was installed as a Debian package" "keep it up to date with apt, or remove it first: apt remove $PROGRAM"
    fi
}

# fetch NAME FILE BYTES: at most so many bytes of the gateway's /releases/NAME.
fetch() {
    say "downloading $1"
    if has curl; then
        only=http,https
        case $URL in https://*) only=https ;; esac
        progress=-sS
        if [ -t 2 ] && [ "$3" -gt 1000000 ]; then progress=-#; fi
        # One that breaks off goes on from there.
        curl -fL $progress --proto "=$only" --connect-timeout 20 --speed-limit 1 --speed-time 60 --retry 5 \
            --max-filesize "$3" -C - -o "$2" "$URL/releases/$1" ||
            curl -fL $progress --proto "=$only" --connect-timeout 20 --max-filesize "$3" -C - -o "$2" "$URL/releases/$1"
    else
        wget -q -O "$2" "$URL/releases/$1"
    fi || fail "$1 could not be downloaded from $URL" "check the connection and run this again; the gateway's operator sees in its log what it serves"
    [ "$(wc -c <"$2")" -le "$3" ] || fail "$1 is longer than it may be" "tell the gateway's operator"
}

download_release() {
    fetch release.json "$work/release.json" 65536
    fetch release.json.minisig "$work/release.json.minisig" 4096
    check_signature
    # Signed, so that it is what it seems; one file on each line.
    tr -d ' \t\r\n' <"$work/release.json" | tr '{' '\n' >"$work/files"
    signed=$(sed -n 's/^"version":"\([^"]*\)".*/\1/p' "$work/files")
    [ "$signed" = "$VERSION" ] || fail "the gateway has just got another release" "run this again"
    entry=$(grep "\"program\":\"$PROGRAM\"" "$work/files" | grep '"system":"linux"' | grep '"arch":"x86_64"' | grep '"kind":"archive"' | sed -n 1p) ||
        fail "the release has no package for Linux" "ask the gateway's operator for one"
    name=$(printf '%s' "$entry" | sed -n 's/.*"name":"\([^"]*\)".*/\1/p')
    bytes=$(printf '%s' "$entry" | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p')
    sum=$(printf '%s' "$entry" | sed -n 's/.*"sha256":"\([0-9a-f]*\)".*/\1/p')
    fetch "$name" "$work/package" "$bytes"
    [ "$(sha256 "$work/package")" = "$sum" ] || fail "$name came damaged: its SHA-256 is not the one that was signed" "run this again"
    say "signature and checksum are right"
}

sha256() {
    if has sha256sum; then sha256sum "$1" | cut -d ' ' -f 1; else openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1; fi
}

# Whether its openssl knows BLAKE2b and signs with Ed25519, as 3.0 and later do.
can_openssl() {
    has openssl || return 1
    case $(openssl version 2>/dev/null) in
    'OpenSSL '[3-9].* | 'OpenSSL '[1-9][0-9].*) return 0 ;;
    *) return 1 ;;
    esac
}

# minisign's format: the second line is algorithm (2 bytes), key id (8) and signature (64) of the document's
# BLAKE2b-512; the fourth is the signature of that signature and the comment in the third.
check_signature() {
    bad="the release is not signed with this gateway's key"
    then="do not install it; tell the gateway's operator"
    if can_openssl; then
        sed -n 2p "$work/release.json.minisig" | tr -d '\r\n' | openssl base64 -d -A >"$work/signature" 2>/dev/null || fail "$bad" "$then"
        sed -n 4p "$work/release.json.minisig" | tr -d '\r\n' | openssl base64 -d -A >"$work/global" 2>/dev/null || fail "$bad" "$then"
        printf '%s' "$KEY" | openssl base64 -d -A >"$work/key"
        [ "$(wc -c <"$work/signature")" -eq 74 ] && [ "$(wc -c <"$work/global")" -eq 64 ] && [ "$(wc -c <"$work/key")" -eq 42 ] || fail "$bad" "$then"
        # "ED" with the key's own id; the key begins with "Ed".
        [ "$(hex "$work/signature" 0 10)" = "4544$(hex "$work/key" 2 8)" ] && [ "$(hex "$work/key" 0 2)" = 4564 ] || fail "$bad" "$then"
        dd if="$work/signature" of="$work/first" bs=1 skip=10 count=64 2>/dev/null
        # SubjectPublicKeyInfo of RFC 8410: a fixed head, then the 32 bytes of the key.
        {
            printf '\060\052\060\005\006\003\053\145\160\003\041\000'
            dd if="$work/key" bs=1 skip=10 count=32 2>/dev/null
        } >"$work/key.der"
        openssl dgst -blake2b512 -binary "$work/release.json" >"$work/hash"
        {
            cat "$work/first"
            sed -n 's/^trusted comment: //p' "$work/release.json.minisig" | sed -n 1p | tr -d '\r\n'
        } >"$work/comment"
        if ! holds "$work/hash" "$work/first" || ! holds "$work/comment" "$work/global"; then fail "$bad" "$then"; fi
    else
        minisign -V -q -m "$work/release.json" -x "$work/release.json.minisig" -P "$KEY" >/dev/null 2>&1 || fail "$bad" "$then"
    fi
}

# hex FILE SKIP COUNT: so many bytes as digits.
hex() {
    dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | od -An -v -tx1 | tr -d ' \n'
}

# holds MESSAGE SIGNATURE
holds() {
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$1" -sigfile "$2" >/dev/null 2>&1
}

# The old program stays beside the new one; the new one takes its place in one step, once it has been seen to start.
place_program() {
    mkdir -p "$work/unpacked" "$DIR"
    tar -xzof "$work/package" -C "$work/unpacked"
    package="$work/unpacked/$PROGRAM-$VERSION"
    [ -f "$package/$PROGRAM" ] || fail "the package holds no $PROGRAM" "tell the gateway's operator"
    to="$DIR/$PROGRAM"
    # Libraries that belong beside it.
    for library in "$package"/*.so "$package"/*.so.*; do
        if [ -f "$library" ]; then
            cp -P "$library" "$DIR/.starling-new" && mv -f "$DIR/.starling-new" "$DIR/${library##*/}"
        fi
    done
    cp "$package/$PROGRAM" "$DIR/.$PROGRAM.new"
    chmod 755 "$DIR/.$PROGRAM.new"
    runs=$("$DIR/.$PROGRAM.new" --version 2>&1) || fail "the program does not start here: $runs" "this Linux may be too old for it; build from source"
    [ "$runs" = "$PROGRAM $VERSION" ] || fail "the package holds another version: $runs" "tell the gateway's operator"
    if [ -e "$to" ]; then
        ln -f "$to" "$to.old" 2>/dev/null || cp -p "$to" "$to.old"
        had_old=yes
    fi
    placed=yes
    mv -f "$DIR/.$PROGRAM.new" "$to"
    say "$to is $VERSION"
}

join_swarm() {
    if [ -z "$invite" ]; then
        note "this node has joined before"
        return
    fi
    say "joining the swarm"
    # By the input: what stands in a command line can be read by everybody on this computer.
    printf '%s\n' "$invite" | "$to" join - --only --data "$DATA" >&2 ||
        fail "the swarm could not be joined" "see above; with a new invite run this again"
}

write_config() {
    if [ -e "$CONFIG" ]; then
        note "$CONFIG is there already and stays as it is"
        return
    fi
    mkdir -p "${CONFIG%/*}"
    {
        printf '# Settings of this node; "%s run --help" names them all.\n' "$PROGRAM"
        printf 'data = "%s"\n' "$DATA"
        if [ -n "$model" ]; then printf "model = ['%s']\n" "$model"; fi
        printf '\n# Where "%s update" looks for newer releases, and the key that they are signed with.\n' "$PROGRAM"
        printf '[update]\nurl = "%s"\nkey = "%s"\n' "$URL" "$KEY"
    } >"$CONFIG.new"
    mv -f "$CONFIG.new" "$CONFIG"
    say "wrote $CONFIG"
}

pull_model() {
    case $model in
    hf:* | https://*)
        say "downloading the model"
        "$to" models pull "$model" --data "$DATA" >&2 || fail "the model could not be downloaded" "see above; the same command goes on where it stopped"
        ;;
    esac
}

look_around() {
    say "what this computer can do"
    "$to" doctor --data "$DATA" >&2 || note "it can be used all the same; \`$PROGRAM doctor\` says so again"
}

start_service() {
    if [ "$service" = no ] || [ ! -d /run/systemd/system ]; then
        if [ "$service" = yes ]; then note "this system has no systemd, so that there is no service"; fi
        note "start the node by hand: $to run --config $CONFIG"
        return
    fi
    say "starting the service"
    "$to" service install --config "$CONFIG" --data "$DATA" ${updates:+"$updates"} >&2 || fail "the service could not be installed" "see above, then run this again"
    "$to" service stop >/dev/null 2>&1 || true
    "$to" service start >&2 || fail "the service did not start" "journalctl -u $PROGRAM says why; then run this again"
    seconds=0
    until "$to" status --data "$DATA" >&2 2>/dev/null; do
        seconds=$((seconds + 1))
        [ "$seconds" -lt 60 ] || fail "the node does not answer after a minute" "journalctl -u $PROGRAM says why; then run this again"
        sleep 1
    done
}

# Runs at every end. What is half done goes; what was there before is there again.
roll_back() {
    code=$?
    trap - EXIT INT HUP TERM
    rm -rf "$work"
    rm -f "$DIR/.$PROGRAM.new" "$DIR/.starling-new"
    if [ "$placed" = yes ]; then
        if [ "$had_old" = yes ]; then
            "$to" service stop >/dev/null 2>&1 || true
            mv -f "$to.old" "$to"
            note "$to is the program that was there before"
            "$to" service start >/dev/null 2>&1 || true
        else
            if [ "$service" = yes ] && [ -d /run/systemd/system ]; then "$to" service uninstall >/dev/null 2>&1 || true; fi
            rm -f "$to"
            note "$to was taken away again; what has been joined and downloaded stays in $DATA"
        fi
    fi
    exit "$code"
}

uninstall() {
    to="$DIR/$PROGRAM"
    if [ -x "$to" ]; then
        if [ -d /run/systemd/system ]; then
            say "taking the service away"
            "$to" service uninstall >&2 || fail "the service could not be taken away" "see above; then run this again"
        fi
        rm -f "$to" "$to.old" "$to.new" "$to.update" "$to.record" "$to.lock"
        say "$to is gone"
    else
        note "there is no $to"
    fi
    if [ "$purge" = yes ]; then
        rm -rf "$DATA"
        rm -f "$CONFIG"
        if id starling >/dev/null 2>&1 && has userdel; then userdel starling || true; fi
        say "$DATA and $CONFIG are gone"
    elif [ -e "$DATA" ]; then
        note "$DATA and $CONFIG stay; --purge takes them too"
    fi
}

# Whoever gets half of this script runs nothing of it.
if true; then
    main "$@"
fi
