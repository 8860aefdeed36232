package main

// promises is the part of docs/RELIABILITY.md that is not made of results.
const promises = `# Reliability

This page says what the relay promises, what it does not promise, and how that was tested.

## In short

` + "`go run ./test/chaos`" + ` breaks a real relay on purpose, again and again, and compares what GitLab was answered with what arrived in the chat. What happened:

- **Killed.** The relay was killed with ` + "`kill -9`" + ` about 2,000 times, half of them at chosen points: no accepted webhook was lost. About 100 messages came twice.
- **Power cut.** There were 200 simulated power cuts under load: no accepted webhook was lost. For comparison, a store that syncs every two minutes lost webhooks in 20 of 20 cuts.
- **Disk full.** The disk was filled 50 times: the relay answered 503 within a second, and continued by itself when there was room.
- **Chat server away.** Fifty destinations failed while 100,000 webhooks came: all of them were accepted and delivered later.
- **One bad channel or server.** It did not delay the others.
- **NATS cluster.** There were 100 faults of servers, networks and relays: no accepted webhook was lost. Messages paused for up to 22 s.
- **Damaged files.** 400 stores were damaged. 29 cases were harmless; all others were reported in the log and as a metric, or refused at the start.
- **Hostile input.** The relay got 100,000 damaged payloads and 620 broken answers of chat servers. It did not crash, and used less than 256 MiB.
- **Not good enough yet.** After ` + "`kill -9`" + ` one start in a hundred took 3.3 s or more; the target is 2 s. When the leader of a NATS stream fails, a webhook can wait 9 s.

The figures of each scenario are in the tables [at the end](#full-counts).

## What is promised

- **An accepted webhook is kept.** An answer of 2xx means that the webhook is on disk and synced (` + "`--sync always`" + `, the default). After that it is delivered to every address that the routes name, waits for an address that cannot take it now, or becomes a dead letter with a reason. Dead letters are listed and can be sent again.
- **Order.** The messages of one address arrive in the order in which the webhooks were accepted, also across crashes, pauses and parking.
  - With ` + "`concurrency`" + ` above 1 a destination has no fixed order.
  - A message that is given up is left out. The messages behind it keep their order.
  - If the chat server refuses the first parked message several times, the relay tries the one behind it, to see whether only the first is refused. If the server recovers at just that moment, the first message arrives late.
- **At least once.** A message can arrive twice in two cases:
  - after a crash of the relay, or when another relay takes over. This concerns at most ` + "`concurrency`" + ` messages per address (1 unless you raise it): those that were posted before their outcome was stored.
  - when a post got no answer. The relay cannot know whether it was delivered, so it posts the message again.
- **Repeats that GitLab sends.** If the same webhook arrives again within ten minutes, each address gets its message once, also across restarts. The relay remembers at least the last 1.4 million deliveries, in at most 80 MiB. That is ten minutes of 1,200 webhooks a second with two addresses each, or of 800 signed ones. At higher rates the time is shorter; ` + "`relay_repeat_window_seconds`" + ` shows it.
- **One bad address does not affect the others.** A chat server that hangs, fails or refuses delays no other destination, and no webhook from GitLab.
- **A refused webhook is not delivered.** This holds for every answer of 4xx. After a 5xx, or no answer, the webhook may be delivered. GitLab does not send it again by itself, so somebody has to resend it.
- **A kill is not blamed on an event.** The relay gives up an event as the cause of a crash only if a separate process, which decodes, routes and renders only this event, ended on it twice. The event then becomes a dead letter for the addresses that do not have it yet. How often the relay itself is killed does not count.
- **A standstill is reported.** Dispatch is the part that reads stored webhooks and hands them to the lanes. If it waits for the same thing for 10 s while there is something to deliver, the log says for what, ` + "`relay_dispatch_standstill_seconds`" + ` counts, and ` + "`/readyz`" + ` of the admin listener answers 503.
  - If the time was spent on decoding, routing or rendering one event, the relay exits with code 3. The next start tries this event in a separate process. If the event passes there, it is not suspected again.
  - Time in which the process did not run does not count.
- **It recovers by itself.** When a full disk has room again, or an external NATS server comes back, the relay continues without a restart. ` + "`/readyz`" + ` reports the state correctly during that time.

## What is not promised

- **Exactly once.** The incoming webhooks of Mattermost and Slack accept no key by which they could recognise a repeat.
- **Survival of a lost disk.** The embedded queue survives a killed process and a power cut. It does not survive the loss of its disk, or a disk that confirms a sync before it is done. For that, use an external NATS cluster with ` + "`--replicas 3`" + `.
- **No loss with ` + "`--sync interval`" + `.** This setting does not sync each write. A power cut may lose what was accepted in the last second, and repeat what was posted in it. A killed process still loses nothing.
- **Detection of every damage on the disk.** nats-server keeps the files. It checks records when it reads them, but it does not detect every kind of damage, and it may drop what it finds damaged (nats-server issue 7549 is about single flipped bits).
  - The relay therefore counts what should be in each stream. What is missing is reported at the start, or when the relay comes to the place, and counted in ` + "`relay_queue_damaged_total`" + ` ([operations.md](operations.md#damage)). The scenario ` + "`store`" + ` shows it.
  - After some kills, nats-server brings dropped messages back. The journal of the relay knows them, and the next start drops them again.
  - Damage to what was stored in the last moment before a crash is not noticed.
  - If the store ends before what the journal has recorded as finished, the relay refuses to start. Keep backups, made while the relay is stopped.
- **The settings of an external NATS server.** It has to sync every write itself (` + "`sync_interval: always`" + `). The relay cannot see whether it does.
- **Service while a NATS cluster elects a leader.** For 4 to 9 s nothing is stored and nothing is posted; webhooks wait. If the old leader is alive but cut off, this can take longer than GitLab waits, and webhooks get 503 ([scaling.md](scaling.md)).
- **Tests with a moved clock from outside.** A test cannot move the clock of a Go process. Tests inside the packages use a clock of their own.
- **Unlimited room.** RELAY_PARKED, RELAY_DEAD and RELAY_EVENTS have limits. When one is full, the oldest messages of the largest address are given up, the oldest dead letters are dropped, or webhooks get 503. Each case is counted and logged.

## How it is tested

A generator sends webhooks like those of GitLab at fixed times, whether or not earlier ones were answered. A test chat server receives the messages and fails as the scenario wants. Two lists are kept outside the relay: what each sender was answered, and what arrived in the chat. Each message carries a mark that names its webhook. At the end of a run the relay delivers what is left, and the lists are compared:

| | must hold | name of a violation |
|---|---|---|
| I1 | an accepted webhook was delivered to every address, or given up as the scenario intends | ` + "`lost`" + `, ` + "`buried`" + ` |
| I2 | what arrived was sent, and arrived at the right address | ` + "`strange`" + ` |
| I3 | only promised repeats: after crashes only the last message of an address | ` + "`duplicate`" + ` |
| I4 | each address got its messages in the order of their ids, and no id was given twice | ` + "`order`" + ` |
| I5 | what was refused was not delivered | ` + "`unwanted`" + ` |
| I6 | no log, metric, answer or page contains a secret | ` + "`leak`" + ` |
| I7 | memory stays below 256 MiB (512 MiB with 25 MB bodies), files are released, nothing panics | ` + "`growth`" + `, ` + "`panic`" + ` |
| I8 | health pages and answers are correct and in time | ` + "`untrue`" + ` |

- One violation fails the run. Times are printed; they count as a violation only beyond five times their target, because other programs use the machines too.
- Random choices follow from the seed. The scheduler of the kernel does not.
- **Power cuts** need no plug: the relay writes to an ext4 file system in an image, mounted so that the kernel does not write back by itself. The relay is stopped, the image is copied as its device holds it, and the relay restarts from the copy. The comparison, a NATS server with its default sync of two minutes, must lose something in nine of ten cuts.
- **Names of chat servers** come from a resolver of the tests. With ` + "`egress: public`" + `, a name that leads to this machine must cause no connection, whatever its notation, its form in IPv6, or changing answers. With ` + "`egress: private`" + ` the same names must work.
- **Elsewhere tested**: comparing a token takes the same time whatever the token is (` + "`go test ./server -run '^$' -bench TokenTiming`" + `, Welch's t-test, printed). Tests of ` + "`delivery/`" + ` cover every kind of answer, every ` + "`Retry-After`" + ` and every forbidden address.
`
