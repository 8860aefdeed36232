#!/bin/sh
# Makes a fresh Mattermost ready for the relay: its first user (who becomes its
# administrator), a team and an incoming webhook into Town Square. The webhook's
# URL, a secret, ends up in $URL_FILE, readable by $URL_OWNER alone. Where that
# file is already, nothing is done; where only some of it exists, the rest is.
#
# Needs MATTERMOST_URL, MATTERMOST_PASSWORD, URL_FILE and URL_OWNER, and curl.
set -eu

if [ -s "$URL_FILE" ]; then
	echo "setup: $URL_FILE is there already"
	exit 0
fi
umask 077
sent=$(mktemp)
received=$(mktemp)
trap 'rm -f "$sent" "$received"' EXIT
echo 'Content-Type: application/json' >"$sent"

# api METHOD PATH [JSON] prints the answer, and fails on a status of 400 or more.
# Secrets go through files and pipes: a command line can be read by others.
api() {
	if ! answer=$(printf '%s' "${3-}" | curl --silent --show-error --fail-with-body --max-time 30 \
		--request "$1" --header "@$sent" --dump-header "$received" --data-binary @- \
		"$MATTERMOST_URL/api/v4$2"); then
		echo "setup: $1 $2: $answer" >&2
		return 1
	fi
	printf '%s' "$answer"
}

# id prints the id of the object whose JSON it reads.
id() {
	grep -o '"id":"[a-z0-9]*"' | head -n 1 | cut -d '"' -f 4
}

password=$(printf '%s' "$MATTERMOST_PASSWORD" | sed 's/[\\"]/\\&/g')

api POST /users "{\"username\":\"admin\",\"email\":\"admin@chat.example\",\"password\":\"$password\"}" >/dev/null ||
	echo "setup: going on as the user that is there"
api POST /users/login "{\"login_id\":\"admin\",\"password\":\"$password\"}" >/dev/null
tr -d '\r' <"$received" | sed -n 's/^[Tt]oken: /Authorization: Bearer /p' >>"$sent"

team=$(api GET /teams/name/dev 2>/dev/null | id) || true
if [ -z "$team" ]; then
	team=$(api POST /teams '{"name":"dev","display_name":"Development","type":"O"}' | id)
fi
channel=$(api GET "/teams/$team/channels/name/town-square" | id)
hook=$(api POST /hooks/incoming "{\"channel_id\":\"$channel\",\"display_name\":\"Relay\"}" | id)
if [ -z "$hook" ]; then
	echo "setup: Mattermost made no incoming webhook" >&2
	exit 1
fi

printf '%s/hooks/%s\n' "$MATTERMOST_URL" "$hook" >"$URL_FILE.new"
chown "$URL_OWNER" "$URL_FILE.new"
mv "$URL_FILE.new" "$URL_FILE"
echo "setup: done, log in at Mattermost as admin"
