package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// fieldJournal is in the header of what is stored while this relay writes the
	// journal: the journal's last sequence at that moment. A journal that ends
	// before it has lost something.
	fieldJournal = "Relay-Journal"

	// endFile holds the journal's last sequence after an end in good order.
	endFile = "END"

	// dropCalm is for how long after dead letters were dropped the journal does not
	// say how many there are: so it is written once for many that are dropped.
	dropCalm = 2 * time.Second
)

// census counts messages of a stream.
type census struct{ count, end, sum uint64 } // end: counted up to there; sum: of their sequences

// kept knows how many dead letters there are.
type kept struct {
	mu       sync.Mutex
	known    bool
	census   census
	sure     bool // the journal says so, or is about to
	dropping int
	dropped  time.Time
	early    bool // some were dropped before anybody led
}

// added is told of a dead letter that was stored, or was there already.
func (k *kept) added(seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := &k.census; k.known && seq > c.end {
		c.count, c.end, c.sum = c.count+1, seq, c.sum+seq
	}
}

// dropsDead is called before dead letters are dropped: from now on no start misses
// them. The function ends that.
func (q *Queue) dropsDead(ctx context.Context) (dropped func(), err error) {
	k := &q.kept
	k.mu.Lock()
	k.dropping++
	k.known, k.early = false, true
	sure := k.sure
	k.mu.Unlock()
	dropped = func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.dropping--
		k.dropped = time.Now()
	}
	if j := q.leading.Load(); sure && j != nil {
		if err := j.Write(ctx); err != nil {
			dropped()
			return nil, fmt.Errorf("drop dead letters: %w", err)
		}
	}
	return dropped, nil
}

// kept is what the next message of the journal says of what the streams hold; with
// all it says again what was said before of lanes.
func (j *Journal) kept(all bool) *inventory {
	k := &inventory{Told: j.told, Heads: j.heads.Load()}
	k.Lines, k.Settled = j.q.lines.news(all)
	if !j.q.External() { // there others may drop dead letters
		var c census
		c, k.Sure = j.q.kept.mark(j.ctx, j.q, j.ending.Load())
		k.Dead, k.DeadEnd, k.DeadSum = c.count, c.end, c.sum
	}
	return k
}

// mark is what is known of RELAY_DEAD, if that can be said.
func (k *kept) mark(ctx context.Context, q *Queue, last bool) (c census, sure bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sure = false
	if k.dropping > 0 || !last && time.Since(k.dropped) < dropCalm {
		return c, false
	}
	if !k.known {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var err error
		if k.census, err = q.countDead(ctx, math.MaxUint64); err != nil {
			return c, false
		}
		k.known = true
	}
	k.sure = true
	return k.census, true
}

// countDead counts the dead letters up to a sequence.
func (q *Queue) countDead(ctx context.Context, upTo uint64) (c census, err error) {
	info, err := q.dead.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return c, fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	first, last := info.State.FirstSeq, min(info.State.LastSeq, upTo)
	if c.end = last; info.State.Msgs == 0 || last < first {
		return c, nil
	}
	c.count = last - first + 1
	for seq := first; seq <= last; seq++ {
		c.sum += seq
	}
	for _, seq := range info.State.Deleted {
		if seq >= first && seq <= last {
			c.count, c.sum = c.count-1, c.sum-seq
		}
	}
	return c, nil
}

// checkDead compares RELAY_DEAD with what the journal says of it. One that was
// dropped can be there again, when the server's note of that is lost too.
func (q *Queue) checkDead(ctx context.Context, said *inventory) error {
	if said == nil || !said.Sure || q.External() {
		return nil
	}
	there, err := q.countDead(ctx, said.DeadEnd)
	if err != nil {
		return err
	}
	q.kept.mu.Lock()
	early := q.kept.early
	q.kept.mu.Unlock()
	if early || there.count == said.Dead && there.sum == said.DeadSum || there.count > said.Dead {
		return nil // those that are too many came back
	}
	gone := uint64(1)
	if there.count < said.Dead {
		gone = said.Dead - there.count
	}
	q.damage.Add(gone)
	q.log.Error(fmt.Sprintf("dead letters are gone from %s, at least %d: the store is damaged; %s", DeadStream, gone, damageAdvice), "count", gone, "were", said.Dead, "left", there.count)
	return nil
}

// journalKnown is up to where the journal is known to have been written, by what
// was stored later.
func (q *Queue) journalKnown(ctx context.Context) (uint64, error) {
	if q.External() {
		return 0, nil
	}
	var known uint64
	text, err := os.ReadFile(filepath.Join(q.opt.Dir, endFile))
	if err == nil {
		known = parseSeq([]byte(strings.TrimSpace(string(text))))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("look where the journal ended: %w", err)
	}
	for _, s := range []stream{q.events, q.parked, q.dead} {
		info, err := s.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("look at stream: %w", err)
		}
		if info.State.Msgs == 0 {
			continue
		}
		msg, err := s.GetMsg(ctx, info.State.LastSeq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // dropped, or damaged
		}
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", info.Config.Name, err)
		}
		known = max(known, parseSeq([]byte(msg.Header.Get(fieldJournal))))
	}
	return known, nil
}

// journalCut says what a journal that ends too early means, once, and returns the
// sequence up to which that has been said.
func (q *Queue) journalCut(end Entry, last, known uint64) uint64 {
	var told uint64
	if end.Kept != nil {
		told = end.Kept.Told
	}
	if known <= max(last, told) {
		return told
	}
	q.damage.Add(known - last)
	from, upTo := end.Checkpoint.Cursor, q.tail.load()
	q.log.Error(fmt.Sprintf("%d messages of the journal are gone from its end: what they said is not known, and the deliveries of up to %d stored messages of events may be repeated; %s", known-last, upTo-min(from, upTo), damageAdvice),
		"stream", JournalStream, "from", last+1, "to", known, "events_after", from, "events_until", upTo)
	return known
}

// settleEnd says, at an end in good order, where the journal ends.
func (q *Queue) settleEnd(last uint64) {
	if q.External() {
		return
	}
	if err := replaceFile(filepath.Join(q.opt.Dir, endFile), strconv.AppendUint(nil, last, 10)); err != nil {
		q.log.Warn("a next start may not see that the journal was cut off", "err", err)
	}
}
