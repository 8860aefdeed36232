package delivery

import (
	"slices"

	"github.com/gitlab-mattermost/relay/queue"
)

// refused handles a message that the chat refused. A destination that is
// broken can refuse in the same words, and so can a channel that does not exist:
// it is given up only when others got through meanwhile, and when it is not one
// of several in a row. It returns true to try again in place.
func (l *lane) refused(j *job, t target, r result) (again bool) {
	if j.refusal == 0 {
		j.refused = r.ended
	}
	j.refusal++
	row := l.dest.refuses(j.item.ID)
	if l.place(j) != (queue.Place{}) && (row || j.refusal > len(l.set.limits.refused)) {
		j.held++
	}
	switch {
	case j.held > poisonAfter:
		l.pass(j, t, r)
		return false
	case row:
	case j.refusal <= len(l.set.limits.refused) && l.shed(j):
		return false
	case j.refusal <= len(l.set.limits.refused):
		if l.stay(l.set.limits.refused[j.refusal-1]) {
			return true
		}
		l.land(j, true)
		return false
	case r.known.After(j.refused): // sent after it was refused first, and taken before it was refused again
		l.weigh(j, t, r)
		return false
	}
	l.setBack(j, r)
	l.leave(j, t)
	return false
}

// pass tries what stands behind a message that is refused on one probe after the
// other, whatever becomes of other lanes: there may be none, or each may stand
// before a message of its own. If one gets through, those before it are tried once
// more, and given up if they are refused again. A destination that refuses all of
// them loses none. Where nothing stands behind, what comes next is tried at once.
func (l *lane) pass(j *job, t target, r result) {
	aside := []*job{j}
	for len(aside) <= mostAside {
		k, rk, ok := l.tryBehind(t)
		switch {
		case !ok:
			l.setBack(j, r)
			l.awaitNext()
			l.backAll(aside, t)
			return
		case rk.verdict == Delivered:
			l.settle(k, rk)
			for _, a := range aside {
				l.lastTry(a, t)
			}
			return
		case rk.verdict == Refused:
			l.refusedBehind(k, t, rk)
		case !l.suspect(k, rk):
			l.fellBack(k, t, rk)
			l.backAll(append(aside, k), t)
			return
		default:
			l.failed(k, t, rk)
		}
		aside, r = append(aside, k), rk
	}
	l.setBack(j, r)
	l.backAll(aside, t)
}

// suspect notes that a message which was sent past another one failed, and
// tells whether it has done so often enough to be sent past itself.
func (l *lane) suspect(k *job, r result) bool {
	switch {
	case r.verdict == Stopped:
		return false
	case r.verdict == Refused:
		k.held++
	case r.verdict == Retry && r.status >= 500:
		k.probes++
	}
	return k.mayPass()
}

// mayPass tells whether what stands behind the message may be tried.
func (j *job) mayPass() bool { return j.probes >= poisonAfter || j.held >= poisonAfter }

// refusedBehind notes that a message was refused while another one was weighed.
func (l *lane) refusedBehind(k *job, t target, r result) {
	l.failed(k, t, r)
	if k.refusal == 0 {
		k.refused = r.ended
	}
	k.refusal++
	l.dest.refuses(k.item.ID)
}

// awaitNext has the head of the line tried as soon as something is appended
// behind all that the lane holds.
func (l *lane) awaitNext() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.line.yielding == nil && (l.line.seq < l.line.tail || l.line.next < len(l.line.batch)) {
		l.goOn() // it has just come
		return
	}
	l.standing.last = true
}

// appended is told that something was. The lock is held.
func (l *lane) appended() {
	if l.standing.last {
		l.standing.last = false
		l.goOn()
	}
}

// weigh decides about a message that was refused while others got through to
// its destination: it is given up if the one behind it gets through. If that one
// is refused as well, the next is tried; three that are refused in a row are no
// message's fault. Where none stands behind it, the word of other lanes counts,
// but not for two messages in a row.
func (l *lane) weigh(j *job, t target, r result) {
	aside := []*job{j}
	for len(aside) < inARow {
		k, rk, ok := l.tryBehind(t)
		switch {
		case !ok:
			if len(aside) == 1 && l.set.stopping() == nil && !l.fetching() && l.alone() {
				l.bury(j, ReasonRefused, "refused by the receiver: "+j.text+", while other messages got through")
				return
			}
			l.setBack(j, r)
			l.backAll(aside, t)
			return
		case rk.verdict == Delivered:
			l.settle(k, rk)
			for _, a := range aside {
				l.bury(a, ReasonRefused, "refused by the receiver: "+a.text+", while other messages got through")
			}
			return
		case rk.verdict != Refused:
			l.fellBack(k, t, rk)
			l.backAll(append(aside, k), t)
			return
		}
		l.refusedBehind(k, t, rk)
		aside, r = append(aside, k), rk
	}
	l.setBack(j, r)
	l.backAll(aside, t)
}

// alone tells whether this may be the only message of the lane that is given
// up for a refusal, and says that it is.
func (l *lane) alone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.standing.lonely
	l.standing.lonely = true
	return !was
}

// fetching tells whether something may stand behind what the line has given so
// far.
func (l *lane) fetching() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line.reading || l.line.yielding != nil || l.spilling || len(l.spill) > 0
}

// passBy tries the delivery that stands behind one which gets a 5xx again and
// again, right after it got one more. If it gets through, what it was sent past
// is given up; else the order is as before. It returns false when nothing stands
// behind.
func (l *lane) passBy(j *job, t target) bool {
	aside := []*job{j}
	var k *job
	for k = l.behind(); k != nil && k.mayPass() && len(aside) < mostAside; k = l.behind() {
		aside = append(aside, k)
	}
	if k == nil {
		l.backAll(aside[1:], t)
		return false
	}
	r, ok := l.once(k, t)
	switch {
	case !ok: // it cannot be written, and is settled
		l.backAll(aside[1:], t)
		return false
	case r.verdict == Delivered:
		l.took(r)
		l.settle(k, r)
		for _, a := range aside {
			l.lastTry(a, t)
		}
	default:
		l.suspect(k, r)
		l.fellBack(k, t, r)
		l.backAll(append(aside, k), t)
	}
	return true
}

// lastTry posts once more what another one was sent past, and gives it up only
// when it is refused again, as often as an attempt is repeated in place: the chat
// may have come back just before it took the other, or fail every now and then.
// Late and out of order is better than not at all.
func (l *lane) lastTry(j *job, t target) {
	for {
		r, ok := l.once(j, t)
		pauses, said, reason, why := l.set.limits.inPlace, j.late, ReasonServerError, ""
		switch {
		case !ok: // it cannot be written, and is settled
			return
		case r.verdict == Delivered:
			l.took(r)
			l.settle(j, r)
			return
		case r.verdict == Retry && r.status >= 500 && j.probes >= poisonAfter:
			if j.late++; r.retryAfter > longestStay && said < len(pauses) {
				l.fellBack(j, t, r)
				l.backAll([]*job{j}, t)
				return
			}
			l.failed(j, t, r)
		case r.verdict == Refused:
			l.refusedBehind(j, t, r)
			pauses, said, reason, why = l.set.limits.refused, j.refusal-1, ReasonRefused, ", while what came after it got through"
		default:
			l.fellBack(j, t, r)
			l.backAll([]*job{j}, t)
			return
		}
		if said >= len(pauses) {
			l.bury(j, reason, "refused by the receiver: "+r.text+why)
			return
		}
		if !l.stay(max(pauses[said], r.retryAfter)) || l.moved(t) {
			l.backAll([]*job{j}, t)
			return
		}
	}
}

// tryBehind posts once what stands behind the deliveries that the caller
// holds. It returns false when nothing does.
func (l *lane) tryBehind(t target) (*job, result, bool) {
	for {
		k := l.behind()
		if k == nil {
			return nil, result{}, false
		}
		r, ok := l.once(k, t)
		if !ok {
			continue
		}
		if r.verdict == Delivered {
			l.took(r)
		}
		return k, r, true
	}
}

// once posts a delivery once, as soon as the rate limit lets it; false when it
// cannot be written or may not be posted any more, and is settled. The verdict is Stopped when the relay stops or
// the destination must be left alone first.
func (l *lane) once(k *job, t target) (result, bool) {
	k.burst = 0
	if err := l.paced(); err != nil {
		return stopped(err.Error()), true
	}
	message, ok := l.message(k, t)
	if !ok {
		return result{}, false
	}
	return l.attempt(k, t, message)
}

// fellBack does with the answer to a message that was sent past another one
// what is done with every answer, without trying again in place.
func (l *lane) fellBack(k *job, t target, r result) {
	switch {
	case r.verdict == Stopped:
		l.dest.probed()
	case l.failed(k, t, r):
		l.dest.probed()
		l.parkNow("destination changed")
	default:
		l.setBack(k, r)
	}
}

// backAll puts deliveries back where they stood, the last one first: those
// that come from memory stand in the line already.
func (l *lane) backAll(jobs []*job, t target) {
	l.parkNow("destination changed")
	for _, j := range slices.Backward(jobs) {
		l.leave(j, t)
	}
}
