#!/usr/bin/env bash
# Builds the Dockerfile without Docker, by Debian's buildah, and without an image registry:
#
#     tools/build_image.sh NAME [--target beam-worker] [--build-arg PYTHON=3.13 …]
#
# Needs root, buildah and debootstrap; Go for the target beam-worker. The images that the Dockerfile
# begins with are made of Debian's packages. The image stays in .images.
# Exit code 75: no image can be built here. Otherwise that of buildah.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
images=$project/.images

impossible() {
    printf '\n%s\n' "################################################################" \
        "NO IMAGE WAS BUILT: $1." \
        "################################################################" >&2
    exit 75
}

[ $# -gt 0 ] || { echo "usage: tools/build_image.sh NAME [OPTION OF buildah build …]" >&2; exit 2; }
name=$1; shift
options=("$@")
[ "$(id -u)" = 0 ] || impossible "it takes root"
for command in buildah debootstrap; do
    command -v "$command" >/dev/null || impossible "$command is not installed"
done
unshare --mount true 2>/dev/null || impossible "this process may not mount"

mkdir -p "$images"
export BUILDAH_ISOLATION=chroot
bud() { buildah --storage-driver "${STORAGE_DRIVER:-overlay}" --root "$images/store" --runroot "$images/run" "$@"; }
has() { bud inspect --type image "$1" >/dev/null 2>&1; }

# What the Dockerfile takes for an argument: the option's value, or its default.
argument() {
    local value; value=$(sed -n "s/^ARG $1=//p" "$project/Dockerfile")
    for option in "${options[@]}"; do case ${option#--build-arg=} in "$1="*) value=${option##*=} ;; esac; done
    echo "$value"
}
python=$(argument PYTHON) debian=$(argument DEBIAN) beam=$(argument BEAM)

# A file system becomes an image.
commit() {
    local container; container=$(bud from scratch)
    bud copy --quiet "$container" "$1" "${3:-/}" >/dev/null
    # A Python that was moved looks for its headers where it was built.
    bud config --env "CPATH=/usr/local/include/python$python" "$container"
    bud commit --quiet --rm "$container" "localhost/$2" >/dev/null
}

make_python() { # NAME PACKAGE …
    local image=$1 root=$images/root mirror packages; shift
    has "localhost/$image" && return
    echo "Making $image of Debian's packages" >&2
    rm -rf "$root"
    # The mirror that this machine itself uses; debootstrap's own without one.
    mirror=$(sed -n 's/^URIs: *\([^ ]*\/debian\)\/*$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
    packages=$(IFS=,; echo "ca-certificates,python3,python3-venv,python-is-python3${*:+,$*}")
    debootstrap --variant=minbase --include="$packages" "$debian" "$root" ${mirror:+"$mirror"} \
        >"$images/debootstrap.log" 2>&1 ||
        { tail -n 5 "$images/debootstrap.log" >&2; impossible "debootstrap failed (.images/debootstrap.log)"; }
    if [ ! -e "$root/usr/bin/python$python" ]; then
        # Debian has another Python: that of this machine, which may lie anywhere.
        local home=
        for candidate in "$project/.venv/bin/python" "python$python"; do
            home=$("$candidate" -c 'import sys; print(sys.base_prefix)
sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$python" 2>/dev/null) && break
            home=
        done
        [ -n "$home" ] || impossible "there is no Python $python on this machine, nor in Debian $debian"
        cp -a "$home/." "$root/usr/local/"
        ln -sf "python$python" "$root/usr/local/bin/python"
        chroot "$root" ldconfig
    fi
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$root"/var/cache/apt/archives/*.deb
    commit "$root" "$image"
    rm -rf "$root"
}

make_beam() {
    local image=apache/beam_python${python}_sdk:$beam
    has "localhost/$image" && return
    echo "Making $image of Beam's Go module" >&2
    command -v go >/dev/null || impossible "Go is not installed, of which Beam's harness is built"
    CGO_ENABLED=0 GOBIN=$images/go go install "github.com/apache/beam/sdks/v2/python/container@v$beam" ||
        impossible "Beam's harness cannot be built"
    commit "$images/go/container" "$image" /opt/apache/beam/boot
}

make_python "python:$python-slim-$debian"
make_python "python:$python-$debian" g++ git python3-dev
case " $* " in *" beam-worker "* | *"=beam-worker "*) make_beam ;; esac

network=()
# How this machine reaches the packages' index.
[ ! -e /etc/pip.conf ] || network=(--volume /etc/pip.conf:/etc/pip.conf:ro)
# A build that failed leaves a container, which is mounted.
trap 'bud rm --all >/dev/null 2>&1 || true' EXIT
printf '%s' '{"default": [{"type": "insecureAcceptAnything"}]}' >"$images/policy.json"
bud build --signature-policy "$images/policy.json" --layers "${network[@]}" "${options[@]}" --tag "$name" "$project"
