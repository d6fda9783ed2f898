#!/usr/bin/env bash
# Runs a command in a Debian 13 root, where the newest stack can be installed (glibc 2.41, Python
# 3.13), with a copy of the project as the working directory:
#
#     tools/debian13.sh make test
#
# The root is made once, in .debian13. Files that git does not ignore are copied anew each time;
# what the commands made (.venv) stays. Needs root, debootstrap and the right to mount.
# Exit code 75: there can be no such root here, nothing was run. Otherwise the command's own.
set -euo pipefail
command=$*
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=$project/.debian13

impossible() {
    printf '\n%s\n' "################################################################" \
        "NOT RUN in a Debian 13 root, so not on the newest stack: $1." \
        "NOT RUN: $command" "################################################################" >&2
    exit 75
}

[ $# -gt 0 ] || { echo "usage: tools/debian13.sh COMMAND [ARGUMENT …]" >&2; exit 2; }
[ "$(id -u)" = 0 ] || impossible "it takes root to make one"
command -v debootstrap >/dev/null || impossible "debootstrap is not installed"
unshare --mount true 2>/dev/null || impossible "this process may not mount"

if [ ! -e "$root/complete" ]; then
    echo "Making a Debian 13 root in .debian13 (once)" >&2
    rm -rf "$root"
    mkdir "$root"
    # The mirror that this machine itself uses; debootstrap's own without one.
    mirror=$(sed -n 's/^URIs: *\([^ ]*\/debian\)\/*$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
    # A compiler and headers: pyfarmhash, which TFX needs, comes as source only.
    packages=ca-certificates,g++,git,make,python3,python3-dev,python3-venv
    debootstrap --variant=minbase --include="$packages" trixie "$root" ${mirror:+"$mirror"} \
        >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; impossible "debootstrap failed (.debian13.log)"; }
    mkdir "$root/project"
    touch "$root/complete"
fi

# How this machine reaches the network.
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
environment=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin)
while IFS= read -r variable; do
    environment+=("$variable")
done < <(env | grep -iE '^(https?_proxy|no_proxy|pip_index_url|uv_default_index|ssl_cert_file)=' || true)

cd "$project"
find "$root/project" -mindepth 1 -maxdepth 1 ! -name .venv ! -name .uv -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
    tar --create --null --files-from=- | tar --extract --directory "$root/project"

# The mounts end with the process. The root is a mount of its own: a test mounts a disk in there.
exec unshare --mount bash -c '
    root=$1; shift
    mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
    exec chroot "$root" "$@"
' bash "$root" env -i "${environment[@]}" bash -c 'cd /project && exec "$@"' bash "$@"
