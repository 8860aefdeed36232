package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

// mark begins the number that each event carries in a place that every message
// shows, so that the chat can tell which event arrived. Digits follow.
const (
	mark   = "zqx"
	digits = 9
)

// token is the secret that the relay asks for.
const token = "a-token-to-measure-with"

// kind is one sort of webhook: a sample of GitLab's, and the text in it beside
// which the number is put.
type kind struct {
	sample string
	beside string
	size   int  // about what the body is filled up to, in bytes; 0: as it is
	noise  bool // fill it with text that does not compress, not with labels
}

var (
	mergeRequest = kind{"merge_request.open", "Limit requests per client", 6160, false}
	push         = kind{"push", "Fix overflow in the length parser", 0, false}
	note         = kind{"note.merge_request", "Limit requests per client", 0, false}
	pipeline     = kind{"pipeline.failed", "Fix overflow in the length parser", 0, false}
	job          = kind{"job.failed", "rspec 2/3", 0, false}
)

// Mixes: of a busy instance most webhooks are about jobs and pipelines.
var (
	onlyMergeRequests = []kind{mergeRequest}
	realistic         = []kind{
		job, pipeline, job, push, job, note, job, pipeline, job, mergeRequest,
		job, pipeline, note, push, job, mergeRequest, job, pipeline, note, push,
	}
)

// letters are ready-made webhooks of one kind, one for each project.
type letters struct {
	header string   // X-Gitlab-Event
	bodies [][]byte // by project
	marks  []int    // where the digits are in each of them
	noise  [2]int   // what is different in each event, so that nothing compresses it
}

// scatter makes the text of the description different in each event.
func (l *letters) scatter() {
	const sign = `Closes #7\n\n`
	from := bytes.Index(l.bodies[0], []byte(sign)) + len(sign)
	l.noise = [2]int{from, from + bytes.IndexByte(l.bodies[0][from:], '"')}
}

// post is the webhooks of one run: each project has its own, and event n is
// always the same bytes but for its number.
type post struct {
	kinds    []*letters // in the order in which they are sent
	projects int
	series   int // below 100; event n of another one is another event
}

// seriesOf is how many numbers a series has: more than one run may send.
const seriesOf = 10_000_000

// number is what event n is known by everywhere.
func (p *post) number(n int) int { return p.series*seriesOf + n }

// newPost makes the bodies for so many projects.
func newPost(mix []kind, projects int) (*post, error) {
	made := map[string]*letters{}
	p := &post{projects: projects}
	for _, k := range mix {
		if made[k.sample] == nil {
			l, err := newLetters(k, projects)
			if err != nil {
				return nil, err
			}
			made[k.sample] = l
		}
		p.kinds = append(p.kinds, made[k.sample])
	}
	return p, nil
}

// project is the path of a project, of the same length for all.
func project(i int) string { return fmt.Sprintf("load/p%04d", i) }

func newLetters(k kind, projects int) (*letters, error) {
	s, ok := events.SampleNamed(k.sample)
	if !ok {
		return nil, fmt.Errorf("no sample %s", k.sample)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, s.Body); err != nil {
		return nil, fmt.Errorf("read the sample %s: %w", k.sample, err)
	}
	text := strings.ReplaceAll(compact.String(), k.beside, k.beside+" "+mark+strings.Repeat("0", digits))
	l := &letters{header: s.Header}
	for i := range projects {
		body := strings.ReplaceAll(text, `"path_with_namespace":"acme/api"`, `"path_with_namespace":"`+project(i)+`"`)
		if k.noise {
			body = strings.Replace(body, `Closes #7"`, `Closes #7\n\n`+strings.Repeat("x", k.size-len(body)-4)+`"`, 1)
		} else if k.size > 0 {
			body = labelled(body, k.size)
		}
		l.bodies = append(l.bodies, []byte(body))
	}
	l.marks = marks(l.bodies[0])
	if len(l.marks) == 0 || !strings.Contains(string(l.bodies[0]), project(0)) || !json.Valid(l.bodies[0]) {
		return nil, fmt.Errorf("the sample %s has changed: it no longer holds %q and its project", k.sample, k.beside)
	}
	return l, nil
}

// marks finds where the digits stand.
func marks(body []byte) []int {
	var all []int
	for at := 0; ; {
		i := bytes.Index(body[at:], []byte(mark))
		if i < 0 {
			return all
		}
		at += i + len(mark)
		all = append(all, at)
	}
}

// labelled gives a merge request more labels, until it is about as large as
// asked for: GitLab describes each one in 230 bytes.
func labelled(body string, size int) string {
	const sign = `"labels":[`
	at := strings.LastIndex(body, sign) + len(sign)
	var more strings.Builder
	for i := 0; len(body)+more.Len() < size-115; i++ {
		fmt.Fprintf(&more, `{"id":%d,"title":"area-%d","color":"#6699cc","project_id":15,"created_at":"2026-11-20 09:12:44 UTC","updated_at":"2026-11-20 09:12:47 UTC","template":false,"description":null,"type":"ProjectLabel","group_id":null},`, 300+i, i)
	}
	return body[:at] + more.String() + body[at:]
}

// letter tells of which kind event n is, and of which project. Both are spread
// evenly and independently of each other.
func (p *post) letter(n int) (*letters, int) {
	return p.kinds[(n+n/p.projects)%len(p.kinds)], n % p.projects
}

// body writes event n into buf.
func (p *post) body(buf []byte, n int) []byte {
	l, i := p.letter(n)
	from := len(buf)
	buf = append(buf, l.bodies[i]...)
	for _, at := range l.marks {
		number(buf[from+at:from+at+digits], p.number(n))
	}
	if l.noise[1] > 0 {
		scatter(buf[from+l.noise[0]:from+l.noise[1]], uint64(p.number(n)))
	}
	return buf
}

// request writes the whole HTTP request for event n into buf, with the headers
// that GitLab sends.
func (p *post) request(buf []byte, host string, n int) []byte {
	l, i := p.letter(n)
	buf = append(buf, "POST /hooks/gitlab HTTP/1.1\r\nHost: "...)
	buf = append(buf, host...)
	buf = append(buf, "\r\nContent-Type: application/json\r\nUser-Agent: GitLab/18.5.0\r\nIdempotency-Key: 5f1ff0c2-0d32-4a2f-9c1b-000"...)
	var key [digits]byte
	number(key[:], p.number(n))
	buf = append(buf, key[:]...)
	buf = append(buf, "\r\nWebhook-Id: 5f1ff0c2-0d32-4a2f-9c1b-000"...)
	buf = append(buf, key[:]...)
	buf = append(buf, "\r\nX-Gitlab-Event: "...)
	buf = append(buf, l.header...)
	buf = append(buf, "\r\nX-Gitlab-Webhook-UUID: 1c3b1a5e-5d4c-4b8f-8c1a-4f6f0f0c2a11\r\nX-Gitlab-Instance: https://gitlab.example\r\nX-Gitlab-Event-UUID: 7a0e6a9c-6a39-4b6c-9a55-000"...)
	buf = append(buf, key[:]...)
	buf = append(buf, "\r\nX-Gitlab-Token: "+token+"\r\nAccept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nAccept: */*\r\nContent-Length: "...)
	buf = strconv.AppendInt(buf, int64(len(l.bodies[i])), 10)
	buf = append(buf, "\r\n\r\n"...)
	return p.body(buf, n)
}

// scatter writes letters and digits that depend on n.
func scatter(into []byte, n uint64) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
	random := rand.NewPCG(n, n)
	for i := range into {
		into[i] = letters[random.Uint64()%uint64(len(letters))]
	}
}

// number writes n in decimal, with leading zeros.
func number(into []byte, n int) {
	for i := len(into) - 1; i >= 0; i-- {
		into[i] = byte('0' + n%10)
		n /= 10
	}
}

// numberIn finds which event of its series a message is about.
func numberIn(message []byte) (n int, ok bool) {
	i := bytes.Index(message, []byte(mark))
	if i < 0 || len(message) < i+len(mark)+digits {
		return 0, false
	}
	for _, c := range message[i+len(mark) : i+len(mark)+digits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n % seriesOf, true
}
