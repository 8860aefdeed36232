#!/bin/sh
# Runs after the files are gone. Only "apt purge" deletes what the relay has accepted,
# and its configuration.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /etc/relay /var/lib/relay
fi
