package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ProofConfig is what a source accepts as proof that a webhook is from its
// GitLab. Any one of the proofs is enough, but see RequireSignature.
type ProofConfig struct {
	Tokens      []string // secret tokens: X-Gitlab-Token
	SigningKeys [][]byte // what signing tokens hold: webhook-signature
	// BasicUser and BasicPassword are the userinfo of the webhook's URL, which
	// GitLab sends as Authorization: Basic.
	BasicUser, BasicPassword string
	RequireSignature         bool // refuse what is not signed, whatever token it carries
	Insecure                 bool // accept everything
}

// Proof checks who sends. It is safe for concurrent use, and prints none of its
// secrets however it is printed.
type Proof struct {
	// Behind a function, into which fmt cannot look: in another type's
	// unexported field, where it calls no methods, it prints all it can reach.
	open func() *secrets
}

// secrets are what a webhook is compared with.
type secrets struct {
	tokens           []digest
	keys             [][]byte
	basic            []digest // none or one: of user, ":", password
	requireSignature bool
	insecure         bool
}

type digest = [sha256.Size]byte

// secrets of a Proof that NewProof did not make are none, so it refuses.
func (p Proof) secrets() *secrets {
	if p.open == nil {
		return &secrets{}
	}
	return p.open()
}

// Names of proofs, for [Verdict].By.
const (
	ByToken     = "token"
	BySignature = "signature"
	ByBasic     = "basic"
	ByInsecure  = "insecure"
)

// Outcome is what a proof came to.
type Outcome int

// The outcomes. The zero Outcome refuses.
const (
	Refused  Outcome = iota
	Accepted         // go on
	NeedBody         // only the body can tell: ask [Proof.Body]
)

// Verdict is the answer of a [Proof].
type Verdict struct {
	Outcome Outcome
	By      string // which proof decided: ByToken, BySignature, ByBasic, ByInsecure; empty if none was sent
	Reason  string // why it was refused, for the sender's eyes; never holds a secret
	ID      string // webhook-id, if the signature covers it; otherwise empty
}

// OK tells whether the webhook is accepted.
func (v Verdict) OK() bool { return v.Outcome == Accepted }

// tolerance is how far webhook-timestamp may be from the clock, both ways: the
// five minutes of the Standard Webhooks libraries.
const tolerance = 5 * time.Minute

// NewProof checks the configuration. Its errors name the place of a mistake,
// never a value.
func NewProof(c ProofConfig) (*Proof, error) {
	p := &secrets{requireSignature: c.RequireSignature, insecure: c.Insecure}
	for i, token := range c.Tokens {
		// GitLab sends a token without its line breaks, and no HTTP server
		// hands on the space around a header's value.
		token = strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(token))
		if token == "" {
			return nil, fmt.Errorf("token %d is empty", i+1)
		}
		p.tokens = append(p.tokens, sha256.Sum256([]byte(token)))
	}
	for i, key := range c.SigningKeys {
		if len(key) == 0 {
			return nil, fmt.Errorf("signing key %d is empty", i+1)
		}
		p.keys = append(p.keys, key)
	}
	if err := p.addBasic(c.BasicUser, c.BasicPassword); err != nil {
		return nil, err
	}
	switch {
	case c.RequireSignature && len(p.keys) == 0:
		return nil, errors.New("signatures are required, but there is no signing key")
	case c.RequireSignature && c.Insecure:
		return nil, errors.New("signatures are required and everything is accepted: choose one")
	case len(p.tokens)+len(p.keys)+len(p.basic) == 0 && !c.Insecure:
		return nil, errors.New("no token, signing key or basic credentials")
	}
	return &Proof{open: func() *secrets { return p }}, nil
}

func (p *secrets) addBasic(user, password string) error {
	switch {
	case user == "" && password == "":
		return nil
	case user == "":
		return errors.New("basic: the username is empty")
	case password == "":
		return errors.New("basic: the password is empty")
	case strings.Contains(user, ":"):
		return errors.New("basic: the username holds a colon")
	}
	p.basic = append(p.basic, sha256.Sum256([]byte(user+":"+password)))
	return nil
}

// Header decides before the body is read, if it can: by token or Basic
// credentials. A webhook-signature, where signing keys are configured, decides
// alone, after the body: a wrong one is refused even beside a right token.
func (p Proof) Header(h http.Header) Verdict { return p.secrets().judge(h) }

func (p *secrets) judge(h http.Header) Verdict {
	v := p.header(h)
	if p.insecure && v.Outcome != Accepted {
		return Verdict{Outcome: Accepted, By: ByInsecure}
	}
	return v
}

func (p *secrets) header(h http.Header) Verdict {
	if len(p.keys) > 0 && h.Get("Webhook-Signature") != "" {
		return Verdict{Outcome: NeedBody, By: BySignature}
	}
	if p.requireSignature {
		return Verdict{Reason: "not signed: set a signing token in the webhook's settings"}
	}
	token := h.Get("X-Gitlab-Token")
	user, password, isBasic := parseBasic(h)
	tokenOK := matches(p.tokens, token)
	basicOK := matches(p.basic, user+":"+password)
	switch {
	case token != "" && tokenOK:
		return Verdict{Outcome: Accepted, By: ByToken}
	case isBasic && basicOK:
		return Verdict{Outcome: Accepted, By: ByBasic}
	case token != "" && len(p.tokens) > 0:
		return Verdict{By: ByToken, Reason: "wrong secret token"}
	case isBasic && len(p.basic) > 0:
		return Verdict{By: ByBasic, Reason: "wrong username or password"}
	case len(p.tokens) > 0:
		return Verdict{Reason: "no X-Gitlab-Token: set the secret token in the webhook's settings"}
	case len(p.keys) > 0:
		return Verdict{Reason: "not signed: set a signing token in the webhook's settings"}
	}
	return Verdict{Reason: "no Authorization: put username and password into the webhook's URL"}
}

// parseBasic reads Authorization: Basic.
func parseBasic(h http.Header) (user, password string, ok bool) {
	return (&http.Request{Header: h}).BasicAuth()
}

// matches compares in constant time, over digests so that lengths do not show,
// and always with every candidate.
func matches(candidates []digest, given string) bool {
	sum := sha256.Sum256([]byte(given))
	found := 0
	for i := range candidates {
		found |= subtle.ConstantTimeCompare(candidates[i][:], sum[:])
	}
	return found == 1
}

// Body decides with the raw body what [Proof.Header] could not: whether the
// webhook-signature is one that Standard Webhooks makes of webhook-id,
// webhook-timestamp and the body with one of the keys, and fresh at now. What
// Header can decide alone gets the same verdict here.
func (p Proof) Body(h http.Header, body []byte, now time.Time) Verdict {
	v := p.Header(h)
	if v.Outcome != NeedBody {
		return v
	}
	refuse := func(reason string) Verdict { return Verdict{By: BySignature, Reason: reason} }
	id, stamp := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	if id == "" || stamp == "" {
		return refuse("signed, but webhook-id or webhook-timestamp is missing")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return refuse("webhook-timestamp is not a number of seconds")
	}
	if !p.secrets().signed(h.Values("Webhook-Signature"), id, stamp, body) {
		return refuse("wrong signature")
	}
	// Compared as seconds: the difference of two times would overflow.
	switch limit := int64(tolerance / time.Second); {
	case seconds < now.Unix()-limit:
		return refuse("signed more than 5 minutes ago")
	case seconds > now.Unix()+limit:
		return refuse("signed more than 5 minutes in the future")
	}
	return Verdict{Outcome: Accepted, By: BySignature, ID: id}
}

// signed tells whether any of the signatures is right by any of the keys. All
// are always tried.
func (p *secrets) signed(headers []string, id, stamp string, body []byte) bool {
	found := 0
	for _, key := range p.keys {
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, id+"."+stamp+".") // a hash never fails to write
		mac.Write(body)
		want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, header := range headers {
			for signature := range strings.FieldsSeq(header) {
				found |= subtle.ConstantTimeCompare([]byte(signature), want)
			}
		}
	}
	return found == 1
}

// String tells what is configured, without any value.
func (p Proof) String() string {
	s := p.secrets()
	return fmt.Sprintf("secrets(tokens: %d, signing keys: %d, basic: %d) [redacted]", len(s.tokens), len(s.keys), len(s.basic))
}

// GoString is String.
func (p Proof) GoString() string { return p.String() }

// Format prints String for every verb.
func (p Proof) Format(s fmt.State, _ rune) { io.WriteString(s, p.String()) }

// LogValue is String.
func (p Proof) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText is String.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String tells what a configuration holds, without any value.
func (c ProofConfig) String() string {
	basic := 0
	if c.BasicPassword != "" {
		basic = 1
	}
	return fmt.Sprintf("secret config(tokens: %d, signing keys: %d, basic: %d) [redacted]", len(c.Tokens), len(c.SigningKeys), basic)
}

// GoString is String.
func (c ProofConfig) GoString() string { return c.String() }

// Format prints String for every verb.
func (c ProofConfig) Format(s fmt.State, _ rune) { io.WriteString(s, c.String()) }

// LogValue is String.
func (c ProofConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String.
func (c ProofConfig) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// KeptHeaders lists the request headers that are worth storing with a webhook,
// in canonical form. Secrets (X-Gitlab-Token, Authorization, Webhook-Signature)
// are not among them, nor is anything that a proxy or a user adds.
func KeptHeaders() []string {
	return []string{
		"X-Gitlab-Event",
		"X-Gitlab-Event-Uuid",
		"X-Gitlab-Webhook-Uuid",
		"X-Gitlab-Instance",
		"Idempotency-Key",
		"Webhook-Id",
		"Webhook-Timestamp",
		"User-Agent",
	}
}
