#!/usr/bin/env bash
# The life of a deb in a Debian that boots, with systemd: install, enable, a webhook,
# kill -9, reload, upgrade, remove, purge. Needs root, mmdebstrap and systemd-nspawn.
#
#   deploy/test/lifecycle.sh OLD.deb NEW.deb
#
# BASE names a tar of a Debian with systemd and curl, which is made if it is not there.
# Exit code 77: such a Debian cannot be made, or does not boot here.
set -euo pipefail

old=$(realpath "$1") new=$(realpath "$2")
work=$(mktemp -d)
machine=relay-test-$$
container=
trap 'stop; rm -rf --one-file-system "$work"' EXIT

fail() { echo "FAILED: $*" >&2; inside journalctl --unit relay --no-pager | tail -30 >&2; exit 1; }

stop() {
	[ -z "$container" ] || { kill -KILL "$container" 2>/dev/null && wait "$container" 2>/dev/null; } || true
	container=
}

# inside runs a command in the container.
inside() { nsenter --target "$(pgrep --parent "$container")" --all -- "$@"; }

# until_true SECONDS COMMAND waits for a command to succeed.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

impossible() { echo "$*" >&2; exit 77; }

# The sources of packages are this machine's own.
base=${BASE:-$work/base.tar}
if [ ! -e "$base" ]; then
	sources=
	for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		if [ -z "$sources" ] && [ -s "$file" ]; then sources=$file; fi
	done
	mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,curl --format=tar "" "$base" "$sources" >"$work/mmdebstrap" 2>&1 ||
		impossible "no Debian can be made: $(tail -n 1 "$work/mmdebstrap")"
fi
mkdir "$work/root"
tar -C "$work/root" -xf "$base"
cp "$old" "$work/root/root/old.deb"
cp "$new" "$work/root/root/new.deb"
systemd-nspawn --quiet --directory="$work/root" --boot --private-network --register=no --keep-unit --machine="$machine" >"$work/boot" 2>&1 </dev/null &
container=$!
until_true 60 inside systemctl is-active multi-user.target || impossible "the container does not boot: $(tail -n 1 "$work/boot")"

post() {
	inside sh -c 'curl --silent --fail --header "X-Gitlab-Token: $(cat /etc/relay/secrets/gitlab-token)" --header "X-Gitlab-Event: Push Hook" --data "{\"object_kind\":\"push\",\"ref\":\"refs/heads/main\",\"project\":{\"path_with_namespace\":\"acme/api\"}}" http://127.0.0.1:8790/hooks/gitlab'
}
property() { inside systemctl show relay --property="$1" --value; }
# events counts the events that the relay knows.
events() { inside relay events -o json | grep -c '"id"' || true; }

begin=$SECONDS
echo "install"
inside dpkg --install /root/old.deb >"$work/install"
grep -q 'systemctl enable --now relay' "$work/install" || fail "the package does not say what to do next"
inside sh -c '(umask 027; echo http://127.0.0.1:9/hooks/x > /etc/relay/secrets/mattermost-url)'
[ "$(inside stat --format '%U:%G %a' /etc/relay/secrets/mattermost-url)" = "root:relay 640" ] || fail "the relay's group cannot read a new secret"

echo "enable: systemctl returns when webhooks are taken"
inside systemctl enable --now relay 2>/dev/null
post >/dev/null || fail "no webhook is taken right after the start"
[ "$(property StatusText)" = "accepting webhooks and delivering messages" ] || fail "the status is: $(property StatusText)"

echo "kill -9: it comes back, and keeps the event"
inside systemctl kill --signal=KILL relay
until_true 30 post || fail "it does not come back after kill -9"
[ "$(property NRestarts)" = 1 ] || fail "systemd restarted it $(property NRestarts) times"
[ "$(events)" -ge 2 ] || fail "the event is gone after kill -9"

echo "reload: a mistake shows in the status, and goes away"
inside cp --preserve=all /etc/relay/relay.yaml /root/relay.yaml
inside sh -c 'echo "routs: []" >> /etc/relay/relay.yaml'
inside systemctl reload relay
status_has() { property StatusText | grep -q "$1"; }
until_true 15 status_has "relay.yaml has mistakes" || fail "the status does not show a mistake in relay.yaml"
inside cp --preserve=all /root/relay.yaml /etc/relay/relay.yaml
inside systemctl reload relay
until_true 15 status_has "^accepting webhooks and delivering" || fail "the status does not recover"

echo "upgrade: configuration and events stay"
inside sh -c 'echo "# mine" >> /etc/relay/relay.yaml'
before=$(events)
inside dpkg --install /root/new.deb >"$work/upgrade" </dev/null
until_true 30 post || fail "no webhook is taken after the upgrade"
inside relay version | grep -q 1.1.0 || fail "the new version does not run"
[ "$(inside tail -n 1 /etc/relay/relay.yaml)" = "# mine" ] || fail "the upgrade changed relay.yaml"
[ "$(events)" -gt "$before" ] || fail "events are gone after the upgrade"

echo "remove: configuration and data stay"
inside dpkg --remove relay >/dev/null
[ "$(property Result)" = success ] || fail "it did not stop well: $(property Result)"
inside test -e /etc/relay/relay.yaml || fail "remove deleted relay.yaml"
inside test -d /var/lib/relay/jetstream -o -n "$(inside ls /var/lib/relay)" || fail "remove deleted the data"

echo "purge: nothing stays"
inside dpkg --purge relay >/dev/null
! inside test -e /etc/relay || fail "purge left /etc/relay"
! inside test -e /var/lib/relay || fail "purge left /var/lib/relay"
echo "the life of the package took $((SECONDS - begin)) s"
