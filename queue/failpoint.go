package queue

// Failpoints of a build with the tag "failpoints", in the order in which a
// webhook passes them. RELAY_FAILPOINT=name:n in the environment kills such a
// relay, as SIGKILL would, at the n-th passing (the first, without n);
// name:n:hang lets what passes there wait for ever.
const (
	FailReceived  = "received"            // the door has a proved webhook, the queue nothing of it
	FailPacked    = "packed"              // an envelope is made, nothing is sent
	FailPublished = "published"           // an envelope is stored, nobody has been told
	FailStored    = "stored-not-answered" // the door knows that its webhook is stored, GitLab not
	FailAnswered  = "answered"            // GitLab has its answer

	FailRead    = "read"    // an envelope was read
	FailReading = "reading" // an event is about to be decoded
	FailDecided = "decided" // what becomes of an event is decided, nothing recorded
	FailHanded  = "handed"  // a delivery stands in its lane

	FailRendering = "rendering"           // a message is about to be written
	FailRendered  = "rendered"            // a message is written, not posted
	FailPosted    = "posted-not-recorded" // the chat has a message, the journal knows nothing of it
	FailRecorded  = "recorded"            // the journal holds a delivery's outcome

	FailParking    = "parking"     // a batch is packed, not in RELAY_PARKED
	FailParked     = "parked"      // a batch is in RELAY_PARKED, its lane does not know
	FailParkedRead = "parked-read" // a batch was read from RELAY_PARKED
	FailBurying    = "burying"     // a delivery is given up, RELAY_DEAD knows nothing of it
	FailBuried     = "buried"      // RELAY_DEAD holds a delivery, the journal knows nothing of it

	FailJournaling = "journaling" // records are packed, not in the journal
	FailJournaled  = "journaled"  // records are in the journal, who waits for them does not know

	FailTakeover   = "takeover"   // the state is recovered, the journal not taken over
	FailRecovering = "recovering" // the journal's end is read, nothing else
	FailPurging    = "purging"    // settled history is about to be dropped
	FailPurged     = "purged"     // settled history was dropped
	FailMarked     = "marked"     // a suspected event is about to be tried in another process
	FailRebuilding = "rebuilding" // the embedded server was stopped, to be restarted
)

// Failpoints are the names of all failpoints.
var Failpoints = []string{
	FailReceived, FailPacked, FailPublished, FailStored, FailAnswered,
	FailRead, FailReading, FailDecided, FailHanded,
	FailRendering, FailRendered, FailPosted, FailRecorded,
	FailParking, FailParked, FailParkedRead, FailBurying, FailBuried,
	FailJournaling, FailJournaled,
	FailTakeover, FailRecovering, FailPurging, FailPurged, FailMarked, FailRebuilding,
}
