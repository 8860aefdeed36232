#!/usr/bin/env bash
# Makes docs/messages.png, the picture in the README: messages of built-in samples,
# written by the relay, on a page that looks like a channel.
#
#   bash docs/screenshot.sh
#
# Needs Go and chromium; on Debian: apt-get install chromium fonts-noto-color-emoji
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/relay" ./cmd/relay

# post TIME SAMPLE prints one message as the channel shows it.
post() {
	printf '<article><b class="icon">GL</b><div><p class="who"><b>GitLab</b> <i>BOT</i> <time>%s</time></p>' "$1"
	(cd "$work" && ./relay preview "$2" --as html)
	printf '</div></article>\n'
}

{
	cat <<-'HEAD'
		<!doctype html><meta charset="utf-8"><title>messages</title>
		<style>
		body { margin: 0; width: 760px; background: #fff; color: #1b1d22; font: 15px "DejaVu Sans", "Noto Color Emoji", sans-serif }
		header { padding: 13px 20px; border-bottom: 1px solid #dfe3e8; font-weight: bold }
		article { display: flex; gap: 12px; padding: 10px 20px 2px }
		article > div { flex: 1; min-width: 0 }
		article > div > div { font-family: inherit !important }
		.icon { flex: none; width: 36px; height: 36px; border-radius: 50%; background: #433a7a; color: #fff; font-size: 13px; line-height: 36px; text-align: center }
		.who { margin: 0 } .who i { padding: 1px 4px; border-radius: 3px; background: #e7eaee; font-style: normal; font-size: 10px } time { color: #6a7280; font-size: 12px }
		p { margin: 4px 0 8px } a { color: #1c58d9; text-decoration: none }
		code { padding: 1px 4px; border-radius: 3px; background: #eef0f3; font: 13px "DejaVu Sans Mono", monospace }
		blockquote { margin: 4px 0 8px; padding-left: 10px; border-left: 3px solid #cdd3da; color: #4a515c }
		</style>
		<header># team</header>
	HEAD
	post 09:41 merge_request.open
	post 09:58 note.merge_request
	post 10:12 pipeline.failed
	echo '<script>document.body.dataset.height = Math.ceil(document.body.getBoundingClientRect().height) + 8</script>'
} >"$work/page.html"

browser() {
	HOME=$work chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" "$@" "file://$work/page.html" 2>/dev/null
}
height=$(browser --dump-dom | sed -n 's/.*data-height="\([0-9]*\)".*/\1/p')
browser --window-size="760,$height" --force-device-scale-factor=2 --screenshot="$PWD/docs/messages.png" >/dev/null
ls -l docs/messages.png
