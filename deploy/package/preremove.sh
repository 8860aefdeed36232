#!/bin/sh
# Runs before the files go: for deb as "remove" or "upgrade NEW-VERSION", for rpm with
# the number of versions that are left then.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now relay.service
	fi
	;;
esac
