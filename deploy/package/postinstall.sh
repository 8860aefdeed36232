#!/bin/sh
# Runs after the files are in place: for deb as "configure [OLD-VERSION]", for rpm
# with the number of versions that are installed then.
set -e

case "$1" in
configure) old=$2 ;;
1) old= ;;
[2-9]*) old=an-older-one ;;
*) exit 0 ;;
esac

if ! getent passwd relay >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers relay.conf
	else
		useradd --system --user-group --home-dir /var/lib/relay --shell /usr/sbin/nologin relay
	fi
fi

# The relay reads its configuration and changes none of it.
for path in /etc/relay /etc/relay/secrets /etc/relay/relay.yaml /etc/relay/relay.env; do
	if [ -e "$path" ] && [ "$(stat -c %G "$path")" = root ]; then
		chgrp relay "$path"
	fi
done
chmod g+s /etc/relay/secrets # after chgrp, which may clear it

token=/etc/relay/secrets/gitlab-token
if [ ! -e "$token" ]; then
	(umask 027 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$token" && echo >>"$token" && chgrp relay "$token")
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ -n "$old" ]; then
		systemctl try-restart relay.service
	fi
fi

if [ -z "$old" ]; then
	cat <<-'TEXT'
		The relay is installed. Two steps are left:
		  1. Write the URL of an incoming webhook of your chat into a file:
		     (umask 027; echo URL > /etc/relay/secrets/mattermost-url)
		  2. systemctl enable --now relay
		Then "journalctl -u relay" says what to paste into GitLab. The secret token is in
		/etc/relay/secrets/gitlab-token.
	TEXT
fi
