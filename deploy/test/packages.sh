#!/usr/bin/env bash
# Checks the packages of this commit: two builds in two folders are equal; deb and rpm
# hold what they should; the unit is hardened; and a deb goes through its life in a
# Debian of its own. What needs root, or a tool that is not here, is left out, which is
# said.
#
#   deploy/test/packages.sh              this machine's architecture
#   FULL=1 deploy/test/packages.sh       all targets, and the demo of the arm64 binary
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arch=$(go env GOARCH)
targets=linux/$arch
[ -z "${FULL-}" ] || targets="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64"

step() { echo "-- $*"; }
skip() { echo "SKIPPED: $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null; }

# build FOLDER VERSION builds the committed files in a folder of its own.
build() {
	mkdir "$1"
	git clone --quiet . "$1/source"
	VERSION=$2 TARGETS=$targets bash "$1/source/deploy/dist.sh" "$1/dist" >"$1/output" 2>&1 || { cat "$1/output"; fail "deploy/dist.sh"; }
}

step "build twice, in two folders"
build "$work/one" v1.0.0
build "$work/two" v1.0.0
diff "$work/one/dist/SHA256SUMS" "$work/two/dist/SHA256SUMS" || fail "the two builds differ"
echo "$(wc -l <"$work/one/dist/SHA256SUMS") files are equal"
deb=$work/one/dist/relay_1.0.0_$arch.deb
rpm=$(echo "$work"/one/dist/relay-1.0.0-1.*.rpm | cut -d' ' -f1)

step "the list of what is in the program"
grep -q '"name": "github.com/nats-io/nats-server/v2"' "$work/one/dist/relay-1.0.0.cdx.json" || fail "the SBOM does not name the modules"

# Files that a package has to hold.
needed="/etc/relay/relay.yaml /etc/relay/relay.env /usr/bin/relay /usr/lib/systemd/system/relay.service /usr/lib/sysusers.d/relay.conf
/usr/share/man/man1/relay.1.gz /usr/share/man/man1/relay-serve.1.gz /usr/share/man/man5/relay.yaml.5.gz
/usr/share/bash-completion/completions/relay /usr/share/doc/relay/licenses.txt"

step "the deb"
if has dpkg-deb; then
	dpkg-deb --contents "$deb" >"$work/deb"
	for file in $needed; do grep -q " \.$file\$" "$work/deb" || fail "the deb has no $file"; done
	dpkg-deb --info "$deb" conffiles | grep -q /etc/relay/relay.yaml || fail "an upgrade of the deb would replace relay.yaml"
else
	skip "no dpkg-deb"
fi
if has lintian; then
	lintian --fail-on error --allow-root "$deb"
else
	skip "no lintian"
fi

step "the rpm"
if has rpm; then
	rpm --query --package --list "$rpm" >"$work/rpm"
	for file in $needed; do grep -qx "$file" "$work/rpm" || fail "the rpm has no $file"; done
	rpm --query --package --configfiles "$rpm" | grep -q /etc/relay/relay.yaml || fail "an upgrade of the rpm would replace relay.yaml"
	rpm --query --package --scripts "$rpm" >"$work/scripts"
	for script in "postinstall scriptlet" "preuninstall scriptlet" "postuninstall scriptlet"; do
		grep -q "^$script" "$work/scripts" || fail "the rpm has no $script"
	done
	diff --ignore-blank-lines <(rpm --query --package --queryformat '%{POSTIN}' "$rpm") deploy/package/postinstall.sh || fail "the script of the rpm is another one"
else
	skip "no rpm"
fi
for script in deploy/package/*.sh; do sh -n "$script" || fail "$script"; done

step "the unit"
if has systemd-analyze; then
	systemd-analyze security --offline=true --threshold=15 deploy/package/relay.service >"$work/security" || { cat "$work/security"; fail "the unit is not hardened enough"; }
	grep 'Overall exposure' "$work/security"
else
	skip "no systemd-analyze"
fi

step "the manual pages"
if has man; then
	for page in "$work"/one/source/../dist/*linux-"$arch".tar.gz; do tar -C "$work" -xzf "$page"; done
	for page in "$work"/relay-1.0.0-linux-"$arch"/share/man/man*/*.gz; do
		man --warnings --encoding=UTF-8 --local-file "$page" 2>&1 >/dev/null | { ! grep .; } || fail "$page"
	done
else
	skip "no man"
fi

step "install, use, upgrade, remove"
if [ "$(id -u)" != 0 ]; then
	skip "not root"
elif ! has mmdebstrap || ! has systemd-nspawn || [ "$arch" != amd64 ]; then
	skip "no mmdebstrap, no systemd-nspawn, or not amd64"
else
	build "$work/next" v1.1.0
	status=0
	bash deploy/test/lifecycle.sh "$deb" "$work/next/dist/relay_1.1.0_$arch.deb" || status=$?
	case $status in
	0) ;;
	77) skip "a Debian of its own" ;;
	*) fail "the life of the deb" ;;
	esac
fi

if [ -n "${FULL-}" ]; then
	step "the demo of the arm64 binary"
	if has qemu-aarch64-static; then
		tar -C "$work" -xzf "$work/one/dist/relay-1.0.0-linux-arm64.tar.gz"
		timeout 300 qemu-aarch64-static "$work/relay-1.0.0-linux-arm64/relay" serve --demo >"$work/demo"
		grep -c '^┌' "$work/demo"
	else
		skip "no qemu-aarch64-static"
	fi
fi
echo "the packages are good"
