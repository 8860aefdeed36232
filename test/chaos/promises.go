package main

// promises is the part of docs/RELIABILITY.md that holds no figures.
const promises = `# Reliability

What the relay promises, what it does not, and how that is shown. The tables at the end are written by ` + "`go run ./test/chaos`" + `, which breaks a real relay and counts; all else on this page is text.

## What is promised

- **Accepted is kept.** 2xx means that the webhook is on disk, synced (` + "`--sync always`" + `, the default). It is then delivered to every address that the routes name, or waits for one that cannot take it now, or is a dead letter with a reason, listed and replayable. Nothing vanishes unsaid.
- **Order.** The messages of one address come in the order in which the webhooks were accepted, also across crashes, pauses and parking. ` + "`concurrency`" + ` above 1 gives that up for a destination. A message that is given up is left out; those behind it keep their order. One that is refused probe after probe is passed by, to see whether it alone is refused; should the chat be well again in just that moment, what was passed by comes late instead of never.
- **At least once.** A message can come twice: after a crash of the relay or a takeover by another one, at most ` + "`concurrency`" + ` messages (1, unless you raise it) per address, those that were posted and not yet recorded; and a post whose answer never came, which may have been delivered and is made again. Where every post was answered and nothing crashed, nothing is repeated.
- **Repeats that GitLab sends.** A webhook that comes again under its key within ten minutes is posted once to an address, also across restarts. The relay remembers at least the last 1.4 million deliveries for that, in at most 80 MiB: ten minutes of 1,200 webhooks a second with two addresses each, or of 800 signed ones. Beyond that rate the time is shorter; ` + "`relay_repeat_window_seconds`" + ` shows it.
- **One bad address is its own trouble.** A chat server that hangs, fails or refuses delays no other, and no webhook at the door.
- **Refused is refused.** What was answered 4xx is not delivered. After a 5xx, or no answer at all, it may be: GitLab does not send a webhook again by itself, so a 503 is an event that somebody has to resend.
- **No event is blamed for a kill.** An event is given up for ending the relay only when a process of its own, which decodes, routes and renders nothing else, has ended on it twice. It is then a dead letter for the addresses that do not have it; all others get it. How often the relay itself is killed does not count.
- **Standing still is reported.** When dispatch has waited for the same thing for 10 s although there is something to deliver, the log says for what, ` + "`relay_dispatch_standstill_seconds`" + ` counts, and /readyz of the admin listener is 503. Only when the time went to decoding, routing or rendering one event does the process end itself, with exit code 3, once the journal names the event: the next start tries it in a process of its own. An event that survives there is not suspected again until then. Time in which the process did not run does not count.
- **It heals by itself.** When a disk was full and has room again, or an external NATS server comes back, the relay goes on without a restart, and /readyz says the truth meanwhile.

## What is not

- **Exactly once** is not promised. No incoming webhook of Mattermost or Slack takes a key by which a repeat could be told.
- **One disk is one disk.** The embedded queue survives a killed process and a power cut, not the loss of its disk, nor a disk that says "synced" before it is. For that there is an external NATS cluster with ` + "`--replicas 3`" + `.
- ` + "**`--sync interval`**" + ` gives up the sync of each write: a power cut may lose what was accepted in the last second, and repeat what was posted in it. A killed process still loses nothing.
- **Damage on the disk.** nats-server, which keeps the files, checks records when it reads them, but does not detect every kind of damage and may drop what it finds damaged (nats-server issue 7549 is about single flipped bits). A store that ends before what the journal has settled is refused at the start. Keep backups of what you cannot lose; take them while the relay is stopped. It also brings dropped messages back when it reads its files anew after some kills; the relay's journal knows them, and a start drops them again. So the relay counts for itself: what is missing in any of the streams is said at the start, or when it comes to the place, and counted in ` + "`relay_queue_damaged_total`" + ` ([operations.md](operations.md#damage)); ` + "`store`" + ` below shows it. Not noticed is what was stored in the last moment before a crash and is damaged by it.
- **An external NATS server** has to sync every write itself (` + "`sync_interval: always`" + `); the relay cannot see whether it does.
- **A NATS leader that dies.** Until a cluster has elected another one, 4 to 9 s, nothing is stored and nothing posted; webhooks wait meanwhile. Where the leader is alive but cut off from the others it can take some seconds more than GitLab waits: then webhooks get 503 ([scaling.md](scaling.md)).
- **Clocks.** A test cannot move the clock of a Go process from outside; jumps of the clock are covered by tests inside the packages, with a clock of their own.
- **Room.** PARKED, DEAD and EVENTS have limits. Beyond them the oldest deliveries of the largest address are given up, the oldest dead letters go, and webhooks get 503; each is counted and logged.

## How it is shown

A load of webhooks in the shape of GitLab's, sent when their time has come whether or not the earlier ones were answered, goes through a relay to a chat server that does as it is told. Two ledgers are kept outside the relay: what each sender was answered, and what arrived in the chat. Every message carries a marker that names its webhook. At the end the relay drains, and the ledgers are compared:

| | holds | a violation is called |
|---|---|---|
| I1 | what was accepted was delivered to every address, or given up for a reason that the scenario provokes | lost, buried |
| I2 | what was delivered was sent, and belongs where it is | strange |
| I3 | repeats are those that are promised above, and no others: after a crash only what an address got last, however many starts lie between | duplicate |
| I4 | the order at each address is that of the ids; a webhook sent after another one was answered has the higher id; no id is given twice | order |
| I5 | what was refused was not delivered | unwanted |
| I6 | no secret in any log, metric, answer or page of the API | leak |
| I7 | goroutines, files and memory come back; never more than 256 MiB (512 MiB with bodies of 25 MB); no panic, no end that nobody asked for | growth, panic |
| I8 | readiness and answers tell the truth, in time | untrue |

Counts are gates: one violation fails the run. Times are printed, and are a violation only beyond five times their target, because the machines that this runs on are busy. What is random follows from the seed; what the kernel's scheduler does not.

Power cuts are made without power: the relay writes to an ext4 file system in an image, mounted so that the kernel writes back nothing by itself; the relay is stopped, the image is copied as its device holds it, and the relay goes on from the copy. What was not synced is not in it. That the method can lose is shown by a control arm: a NATS server with its own default, a sync every two minutes, has to lose something in at least nine of ten cuts.

Names of chats are resolved by a resolver of the tests' own: with ` + "`egress: public`" + `, names that lead to this machine in any notation, by any detour of IPv6 or with changing answers must bring no connection; with ` + "`egress: private`" + ` the same names must bring the messages.

Some things are shown elsewhere: that the time of comparing a token tells nothing about it, by Welch's t-test, a benchmark (` + "`go test ./server -run '^$' -bench TokenTiming`" + `: below 4.5 nothing can be told; printed, not a gate); every verdict on an answer, every ` + "`Retry-After`" + ` and every forbidden address, by tests of ` + "`delivery/`" + `.
`
