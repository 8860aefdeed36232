#!/usr/bin/env bash
# Builds what is published: deb and rpm, archives, their checksums and a list of what
# is in the program (SBOM).
#
#   deploy/dist.sh [FOLDER]      without a folder: dist
#
# VERSION names the version, and TARGETS some of linux/amd64, linux/arm64,
# darwin/amd64 and darwin/arm64. Two builds of one commit are equal, byte by byte: all
# times are the commit's.
set -euo pipefail
cd "$(dirname "$0")/.."

nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
version=${VERSION:-$(git describe --tags --always --dirty)}
commit=$(git rev-parse HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
MTIME=$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
# A package's version begins with a digit; between releases it is older than any.
if [[ $version =~ ^v?([0-9]+\.[0-9]+\.[0-9]+.*)$ ]]; then
	PACKAGE_VERSION=${BASH_REMATCH[1]}
else
	PACKAGE_VERSION=0.0.0~git$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y%m%d).$version
fi
PACKAGE_VERSION=${PACKAGE_VERSION//-/\~}
export SOURCE_DATE_EPOCH
targets=${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# tool MODULE builds a tool for this machine.
tool() { GOBIN="$work/bin" go install "$1"; }

# binary OS ARCH FILE builds the program as it is shipped.
binary() {
	CGO_ENABLED=0 GOOS=$1 GOARCH=$2 go build -trimpath -buildvcs=false -tags nomsgpack \
		-ldflags "-s -w -X main.version=$version -X main.commit=$commit" -o "$3" ./cmd/relay
}

# archive FOLDER FILE packs a folder, with nothing of this machine in it.
archive() {
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		-C "$(dirname "$1")" -cf - "$(basename "$1")" | gzip -9n >"$2"
}

# changelog writes Debian's list of changes, which names the version.
changelog() {
	printf 'relay (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in this folder.\n\n -- relay maintainers <relay@example.org>  %s\n' \
		"$PACKAGE_VERSION" "$(LC_ALL=C date --utc --date "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')" |
		gzip -9n
}

# copyright writes the licences of the program and of what is linked into it.
copyright() {
	printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: relay\n\nFiles: *\nCopyright: the maintainers of relay\nLicense: MIT\n'
	sed 's/^$/./; s/^/ /' LICENSE
	printf '\nComment: licenses.txt in this folder has the licences of what is linked into the program.\n'
}

# share FOLDER writes what is the same for all architectures. The program of this
# machine writes the completions.
share() {
	mkdir -p "$1/completions" "$1/man/man1" "$1/man/man5" "$1/doc"
	binary "" "" "$work/here"
	"$work/here" completion bash >"$1/completions/relay"
	"$work/here" completion zsh >"$1/completions/_relay"
	"$work/here" completion fish >"$1/completions/relay.fish"
	go run -tags man ./cmd/relay "$work/man"
	cp "$work"/man/*.1 "$1/man/man1/"
	cp "$work"/man/*.5 "$1/man/man5/"
	gzip -9n "$1"/man/*/*
	changelog >"$1/doc/changelog.gz"
	copyright >"$1/doc/copyright"
	cp CHANGELOG.md cmd/relay/licenses.txt deploy/prometheus/relay.rules.yml deploy/grafana/relay-overview.json "$1/doc/"
}

# packages ARCH makes deb, rpm and an archive for Linux.
packages() {
	local BUILD=$work/linux-$1
	mkdir -p "$BUILD"
	sed -e "s|\${ARCH}|$1|; s|\${BUILD}|$BUILD|; s|\${MTIME}|$MTIME|; s|\${PACKAGE_VERSION}|$PACKAGE_VERSION|" deploy/package/nfpm.yaml >"$BUILD/nfpm.yaml"
	cp -r "$work/share" "$BUILD/share"
	binary linux "$1" "$BUILD/relay"
	for kind in deb rpm; do
		"$work/bin/nfpm" package --config "$BUILD/nfpm.yaml" --packager $kind --target "$out/"
	done
	local name=relay-$PACKAGE_VERSION-linux-$1
	mkdir "$work/$name"
	cp -r "$BUILD/relay" "$BUILD/share" LICENSE deploy/package/relay.service "$work/$name/"
	archive "$work/$name" "$out/$name.tar.gz"
}

# macos ARCH makes an archive for macOS.
macos() {
	local name=relay-$PACKAGE_VERSION-darwin-$1
	mkdir "$work/$name"
	binary darwin "$1" "$work/$name/relay"
	cp -r "$work/share" LICENSE "$work/$name/"
	archive "$work/$name" "$out/$name.tar.gz"
}

tool "$nfpm"
tool "$cyclonedx"
share "$work/share"
rm -f "$out"/relay* "$out/SHA256SUMS"
for target in $targets; do
	case $target in
	linux/*) packages "${target#*/}" ;;
	darwin/*) macos "${target#*/}" ;;
	*) echo "there is no target $target" >&2 && exit 2 ;;
	esac
done
"$work/bin/cyclonedx-gomod" bin -json -noserial -notimestamp -std -version "$version" \
	-output "$out/relay-$PACKAGE_VERSION.cdx.json" "$work/here"
(cd "$out" && sha256sum relay* >SHA256SUMS)
ls -l "$out"
