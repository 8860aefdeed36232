package queue

import (
	"cmp"
)

// Checkpoint is how far everything before it has been settled. Each journal
// message carries the one that held when it was written.
type Checkpoint struct {
	Cursor  uint64 // every event up to this sequence of RELAY_EVENTS is settled or parked
	Nonce   Nonce  // of the envelope at Cursor
	Journal uint64 // recovery reads the journal from here
	Parked  uint64 // recovery reads the ids in RELAY_PARKED above here
}

// streamEnds is what a journal message says beside its checkpoint, for the next start.
type streamEnds struct {
	Events uint64 // newest sequence known of RELAY_EVENTS
	Parked uint64 // and of RELAY_PARKED
	From   uint64 // the cursor when its writer started
	Starts uint64 // how many starts running have begun there, with something unsettled above it
}

// Entry is one message of the journal.
type Entry struct {
	Seq        uint64
	Writer     Nonce
	Checkpoint Checkpoint
	Records    []Record
	Ends       streamEnds // zero in what older relays wrote
	Kept       *inventory // nil in what older relays wrote
}

// inventory is what a journal message says of what the streams hold, so that a start
// finds out what is missing.
type inventory struct {
	Dead    uint64 // messages in RELAY_DEAD
	DeadEnd uint64 // up to this sequence,
	DeadSum uint64 // and the sum of their sequences
	Sure    bool   // unless some may be dropped after this message was written
	Heads   uint64 // how many starts running have delivered nothing that was parked, with no orderly end
	Told    uint64 // newest sequence of RELAY_JOURNAL that was missed and said to be gone
	Lines   []lineEnd
	Settled []laneSettled
}

func encodeEntry(n Nonce, e Entry) []byte {
	c, recs := e.Checkpoint, e.Records
	w := buffer{b: make([]byte, 0, 64+96*len(recs))}
	w.nonce(e.Writer)
	w.uint(c.Cursor)
	w.nonce(c.Nonce)
	w.uint(c.Journal)
	w.uint(c.Parked)
	w.uint(uint64(len(recs)))
	var one buffer
	for _, rec := range recs {
		one.b = one.b[:0]
		rec.encode(&one)
		w.uint(rec.kind())
		w.bytes(one.b)
	}
	w.uint(e.Ends.Events)
	w.uint(e.Ends.Parked)
	w.uint(e.Ends.From)
	w.uint(e.Ends.Starts)
	w.kept(e.Kept)
	return seal(n, w.b)
}

func (w *buffer) kept(k *inventory) {
	if k == nil {
		return
	}
	w.uint(k.Dead)
	w.uint(k.DeadEnd)
	w.uint(k.DeadSum)
	w.bool(k.Sure)
	w.uint(k.Heads)
	w.uint(k.Told)
	w.uint(uint64(len(k.Lines)))
	for _, l := range k.Lines {
		w.lane(l.Lane)
		w.place(l.End)
		w.uint(l.Total)
		w.place(l.Gone)
	}
	w.uint(uint64(len(k.Settled)))
	for _, l := range k.Settled {
		w.lane(l.Lane)
		w.place(l.Done)
		w.uint(uint64(len(l.Dropped)))
		for _, seq := range l.Dropped {
			w.uint(seq)
		}
	}
}

func (r *reader) kept() *inventory {
	k := &inventory{Dead: r.uint(), DeadEnd: r.uint(), DeadSum: r.uint(), Sure: r.bool(), Heads: r.uint(), Told: r.uint()}
	k.Lines = list(r, 7, func() lineEnd { return lineEnd{r.lane(), r.place(), r.uint(), r.place()} })
	if !r.ends() {
		k.Settled = list(r, 5, func() laneSettled { return laneSettled{r.lane(), r.place(), list(r, 1, r.uint)} })
	}
	return k
}

func decodeEntry(seq uint64, msg []byte, limit int) (Entry, error) {
	return decode(JournalStream, seq, msg, limit, func(_ Nonce, r *reader) (e Entry, err error) {
		e = Entry{Seq: seq, Writer: r.nonce(), Checkpoint: Checkpoint{r.uint(), r.nonce(), r.uint(), r.uint()}}
		for range r.count(2) {
			kind := r.uint()
			one := reader{b: r.bytes(), items: r.items}
			rec, err := decodeRecord(kind, &one)
			if r.bad || err != nil {
				return Entry{}, cmp.Or(r.err(), err)
			}
			r.items = one.items
			e.Records = append(e.Records, rec)
		}
		if !r.bad && !r.ends() {
			e.Ends = streamEnds{r.uint(), r.uint(), r.uint(), r.uint()}
		}
		if !r.bad && !r.ends() {
			e.Kept = r.kept()
		}
		return e, nil
	})
}
