package events

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	vectorKey  = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
	vectorID   = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
	vectorBody = `{"object_kind":"push"}`
	vectorSig  = "v1,Q/Xs0AQwFCrSU+Jqzp4d4uGCI2fQlx3ls7vaEn5SqGY="
	otherKey   = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
)

var vectorTime = time.Unix(1744578123, 0)

func mustProof(t testing.TB, c ProofConfig) *Proof {
	t.Helper()
	p, err := NewProof(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keysOf are the keys that signing tokens hold.
func keysOf(tokens ...string) [][]byte {
	var keys [][]byte
	for _, token := range tokens {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(token, "whsec_"))
		if err != nil {
			panic(err) // they are constants
		}
		keys = append(keys, key)
	}
	return keys
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func signedHeaders(signature string) http.Header {
	return headers("webhook-id", vectorID, "webhook-timestamp", "1744578123", "webhook-signature", signature)
}

func TestSignatureVector(t *testing.T) {
	p := mustProof(t, ProofConfig{SigningKeys: keysOf(vectorKey)})
	h := signedHeaders(vectorSig)
	if v := p.Header(h); v.Outcome != NeedBody {
		t.Errorf("Header = %+v, want NeedBody", v)
	}
	if v := p.Body(h, []byte(vectorBody), vectorTime); !v.OK() || v.By != BySignature {
		t.Errorf("Body = %+v, want accepted by signature", v)
	}
}

func TestSignature(t *testing.T) {
	keys := keysOf(otherKey, vectorKey)
	wrong := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	tests := []struct {
		name   string
		change func(h http.Header)
		body   string
		now    time.Time
		ok     bool
	}{
		{name: "second key", ok: true},
		{name: "several signatures", change: func(h http.Header) { h.Set("Webhook-Signature", wrong+" v2,x "+vectorSig) }, ok: true},
		{name: "several headers", change: func(h http.Header) { h["Webhook-Signature"] = []string{wrong, vectorSig} }, ok: true},
		{name: "wrong signature", change: func(h http.Header) { h.Set("Webhook-Signature", wrong) }},
		{name: "other version", change: func(h http.Header) { h.Set("Webhook-Signature", "v1a"+vectorSig[2:]) }},
		{name: "signature without version", change: func(h http.Header) { h.Set("Webhook-Signature", vectorSig[3:]) }},
		{name: "cut signature", change: func(h http.Header) { h.Set("Webhook-Signature", vectorSig[:20]) }},
		{name: "no id", change: func(h http.Header) { h.Del("Webhook-Id") }},
		{name: "no timestamp", change: func(h http.Header) { h.Del("Webhook-Timestamp") }},
		{name: "other id", change: func(h http.Header) { h.Set("Webhook-Id", "x") }},
		{name: "other timestamp", change: func(h http.Header) { h.Set("Webhook-Timestamp", "1744578124") }},
		{name: "timestamp no number", change: func(h http.Header) { h.Set("Webhook-Timestamp", "soon") }},
		{name: "timestamp too large", change: func(h http.Header) { h.Set("Webhook-Timestamp", "99999999999999999999") }},
		{name: "other body", body: vectorBody + " "},
		{name: "five minutes old", now: vectorTime.Add(5 * time.Minute), ok: true},
		{name: "older", now: vectorTime.Add(5*time.Minute + time.Second)},
		{name: "five minutes ahead", now: vectorTime.Add(-5 * time.Minute), ok: true},
		{name: "further ahead", now: vectorTime.Add(-5*time.Minute - time.Second)},
	}
	p := mustProof(t, ProofConfig{Tokens: []string{"secret"}, SigningKeys: keys})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := signedHeaders(vectorSig)
			h.Set("X-Gitlab-Token", "secret") // a right token does not save a wrong signature
			if tt.change != nil {
				tt.change(h)
			}
			body, now := tt.body, tt.now
			if body == "" {
				body = vectorBody
			}
			if now.IsZero() {
				now = vectorTime
			}
			v := p.Body(h, []byte(body), now)
			if v.OK() != tt.ok || v.By != BySignature || (v.Reason == "") != tt.ok {
				t.Errorf("Body = %+v, want ok %v", v, tt.ok)
			}
		})
	}
}

// TestSignatureOracle compares with the library of the Standard Webhooks
// project. It judges freshness by the machine's clock, so its clockless check
// stands for both.
func TestSignatureOracle(t *testing.T) {
	oracle, err := standardwebhooks.NewWebhook(vectorKey)
	if err != nil {
		t.Fatal(err)
	}
	p := mustProof(t, ProofConfig{SigningKeys: keysOf(vectorKey)})
	for i, body := range []string{"", "{}", vectorBody, strings.Repeat("x", 100_000), "\xff\x00"} {
		at := time.Unix(1_700_000_000+int64(i), 0)
		id := "msg_" + strconv.Itoa(i)
		signature, err := oracle.Sign(id, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		h := headers("webhook-id", id, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", signature)
		if v := p.Body(h, []byte(body), at); !v.OK() {
			t.Errorf("its signature of body %d: %+v", i, v)
		}
		other := append([]byte(body), '!')
		if v := p.Body(h, other, at); v.OK() {
			t.Errorf("its signature of another body than %d is accepted", i)
		}
		if err := oracle.VerifyIgnoringTimestamp(other, h); err == nil {
			t.Errorf("the oracle accepts another body than %d", i)
		}
	}
}

func TestHeaderProofs(t *testing.T) {
	tokens := ProofConfig{Tokens: []string{"old secret", "new secret"}}
	basic := ProofConfig{BasicUser: "gitlab", BasicPassword: "pass:word"}
	both := ProofConfig{Tokens: tokens.Tokens, BasicUser: "gitlab", BasicPassword: "pass:word"}
	signed := ProofConfig{SigningKeys: keysOf(vectorKey)}
	strict := ProofConfig{SigningKeys: keysOf(vectorKey), Tokens: tokens.Tokens, RequireSignature: true}
	open := ProofConfig{Insecure: true}
	token := func(s string) http.Header { return headers("X-Gitlab-Token", s) }
	login := func(s string) http.Header {
		return headers("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s)))
	}
	tests := []struct {
		name    string
		config  ProofConfig
		header  http.Header
		outcome Outcome
		by      string
	}{
		{"first token", tokens, token("old secret"), Accepted, ByToken},
		{"second token", tokens, token("new secret"), Accepted, ByToken},
		{"wrong token", tokens, token("new secret "), Refused, ByToken},
		{"prefix of a token", tokens, token("new"), Refused, ByToken},
		{"no token", tokens, headers(), Refused, ""},
		{"empty token", tokens, token(""), Refused, ""},
		{"token in lower-case header", tokens, headers("x-gitlab-token", "old secret"), Accepted, ByToken},
		{"only the first of two headers", tokens, headers("X-Gitlab-Token", "wrong", "X-Gitlab-Token", "old secret"), Refused, ByToken},
		{"token as password", tokens, login("gitlab:old secret"), Refused, ""},
		{"basic", basic, login("gitlab:pass:word"), Accepted, ByBasic},
		{"wrong password", basic, login("gitlab:pass"), Refused, ByBasic},
		{"wrong user", basic, login("root:pass:word"), Refused, ByBasic},
		{"user and password moved", basic, login("gitlab:pass:wor"), Refused, ByBasic},
		{"bearer", basic, headers("Authorization", "Bearer gitlab:pass:word"), Refused, ""},
		{"no basic", basic, headers(), Refused, ""},
		{"either: token", both, token("old secret"), Accepted, ByToken},
		{"either: basic beside a wrong token", both, func() http.Header {
			h := login("gitlab:pass:word")
			h.Set("X-Gitlab-Token", "wrong")
			return h
		}(), Accepted, ByBasic},
		{"signature needs the body", signed, signedHeaders(vectorSig), NeedBody, BySignature},
		{"signature without keys is ignored", tokens, signedHeaders(vectorSig), Refused, ""},
		{"no signature", signed, headers(), Refused, ""},
		{"token where signatures are required", strict, token("old secret"), Refused, ""},
		{"signature where it is required", strict, signedHeaders(vectorSig), NeedBody, BySignature},
		{"insecure", open, headers(), Accepted, ByInsecure},
		{"insecure with a token", open, token("anything"), Accepted, ByInsecure},
		{"insecure beside a right token", ProofConfig{Insecure: true, Tokens: tokens.Tokens}, token("old secret"), Accepted, ByToken},
		{"insecure beside a wrong token", ProofConfig{Insecure: true, Tokens: tokens.Tokens}, token("x"), Accepted, ByInsecure},
		{"insecure with a signature", ProofConfig{Insecure: true, SigningKeys: signed.SigningKeys}, signedHeaders("v1,wrong"), Accepted, ByInsecure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustProof(t, tt.config)
			v := p.Header(tt.header)
			if v.Outcome != tt.outcome || v.By != tt.by {
				t.Errorf("Header = %+v, want outcome %v by %q", v, tt.outcome, tt.by)
			}
			if (v.Outcome == Refused) != (v.Reason != "") {
				t.Errorf("outcome %v with reason %q", v.Outcome, v.Reason)
			}
			if v.Outcome == NeedBody {
				return
			}
			if after := p.Body(tt.header, []byte(`{}`), vectorTime); after != v {
				t.Errorf("Body = %+v after Header = %+v", after, v)
			}
		})
	}
}

// TestTokenAsSent wants a token from a file, with its line break, to be the one
// that GitLab sends.
func TestTokenAsSent(t *testing.T) {
	p := mustProof(t, ProofConfig{Tokens: []string{" sec\r\nret\n"}})
	if v := p.Header(headers("X-Gitlab-Token", "secret")); !v.OK() {
		t.Errorf("%+v", v)
	}
}

func TestNewProofErrors(t *testing.T) {
	tests := []struct {
		name   string
		config ProofConfig
		want   string
	}{
		{"nothing", ProofConfig{}, "no token, signing key or basic credentials"},
		{"empty token", ProofConfig{Tokens: []string{"canary", " \n"}}, "token 2 is empty"},
		{"empty key", ProofConfig{SigningKeys: keysOf(vectorKey, "whsec_")}, "signing key 2 is empty"},
		{"no password", ProofConfig{BasicUser: "canary"}, "basic: the password is empty"},
		{"no user", ProofConfig{BasicPassword: "canary"}, "basic: the username is empty"},
		{"colon in user", ProofConfig{BasicUser: "can:ary", BasicPassword: "canary"}, "basic: the username holds a colon"},
		{"required without keys", ProofConfig{Tokens: []string{"canary"}, RequireSignature: true}, "signatures are required, but there is no signing key"},
		{"required and insecure", ProofConfig{SigningKeys: keysOf(vectorKey), RequireSignature: true, Insecure: true}, "signatures are required and everything is accepted: choose one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewProof(tt.config)
			if err == nil {
				t.Fatalf("no error, but %v", p)
			}
			if err.Error() != tt.want {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

// TestProofPrintsNoSecret prints proof and configuration in every way and looks
// for what was put in.
func TestProofPrintsNoSecret(t *testing.T) {
	config := ProofConfig{
		Tokens:        []string{"canary-token"},
		SigningKeys:   keysOf(vectorKey),
		BasicUser:     "canary-user",
		BasicPassword: "canary-password",
	}
	p := mustProof(t, config)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(vectorKey, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"canary", vectorKey[6:], string(key), fmt.Sprintf("%x", key), fmt.Sprint(key), fmt.Sprint(p.open().tokens[0][:4])[1:8]}
	type holder struct{ Inside any }
	type hidden struct{ inside Proof }
	for _, v := range []any{p, *p, config, &config, holder{p}, hidden{*p}, holder{config}, []any{p, config}} {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		for _, secret := range secrets {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%T prints %q in:\n%s", v, secret, out.String())
			}
		}
	}
}

func TestZeroProofRefuses(t *testing.T) {
	var p Proof
	h := signedHeaders(vectorSig)
	h.Set("X-Gitlab-Token", "x")
	if v := p.Body(h, []byte(vectorBody), vectorTime); v.Outcome != Refused || v.Reason == "" {
		t.Errorf("%+v", v)
	}
	if (Verdict{}).OK() {
		t.Error("the zero Verdict accepts")
	}
}

func TestKeptHeaders(t *testing.T) {
	for _, h := range KeptHeaders() {
		if h != http.CanonicalHeaderKey(h) {
			t.Errorf("%s is not canonical", h)
		}
		switch h {
		case "X-Gitlab-Token", "Authorization", "Webhook-Signature", "Cookie":
			t.Errorf("%s is a secret", h)
		}
	}
}

func FuzzProof(f *testing.F) {
	f.Add("secret", "", "", "", "", []byte("{}"))
	f.Add("", "Basic Z2l0bGFiOnBhc3M=", "", "", "", []byte("{}"))
	f.Add("", "", vectorID, "1744578123", vectorSig, []byte(vectorBody))
	f.Add("wrong", "Basic !", vectorID, "-9223372036854775808", "v1, v1 ,", []byte("\xff"))
	strict := mustProof(f, ProofConfig{Tokens: []string{"secret"}, SigningKeys: keysOf(vectorKey), BasicUser: "gitlab", BasicPassword: "pass", RequireSignature: true})
	p := mustProof(f, ProofConfig{Tokens: []string{"secret"}, SigningKeys: keysOf(vectorKey), BasicUser: "gitlab", BasicPassword: "pass"})
	f.Fuzz(func(t *testing.T, token, auth, id, stamp, signature string, body []byte) {
		h := http.Header{}
		for name, value := range map[string]string{
			"X-Gitlab-Token": token, "Authorization": auth, "Webhook-Id": id, "Webhook-Timestamp": stamp, "Webhook-Signature": signature,
		} {
			if value != "" {
				h.Set(name, value)
			}
		}
		v := p.Body(h, body, vectorTime)
		if v.Outcome == NeedBody {
			t.Error("Body asks for the body")
		}
		known := signature == "" && (token == "secret" || auth != "") ||
			id == vectorID && stamp == "1744578123" && strings.Contains(signature, vectorSig) && string(body) == vectorBody
		if v.OK() && !known {
			t.Errorf("%+v", v)
		}
		if s := strict.Body(h, body, vectorTime); s.OK() && s.By != BySignature {
			t.Errorf("%+v where a signature is required", s)
		}
	})
}
