package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/queue"
)

// minJournal is the least room for the journal, in bytes.
const minJournal = 1 << 20

// serveFlags are fixed for the process; what may change is in relay.yaml.
type serveFlags struct {
	listen, admin  string
	adminTokenFile string
	cert, key      string
	data           string
	lastGood       bool
	natsURL        string
	natsCreds      string
	natsCA         string
	natsCert       string
	natsKey        string
	replicas       int
	sync           *choice
	history        span
	maxBody        size
	events, parked size
	dead, journal  size
	logFormat      *choice
	logLevel       *choice
	demo, stay     bool
	pace           float64
	repeats        size
}

func (f *serveFlags) add(cmd *cobra.Command) {
	f.history = span(72 * time.Hour)
	f.maxBody, f.events, f.parked, f.dead, f.journal = 25<<20, 1<<30, 1<<30, 256<<20, 256<<20
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", ":8080", "`address` that GitLab sends to")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:8081", "`address` of /metrics, /healthz, /readyz, /-/reload and /api/v1")
	flags.StringVar(&f.adminTokenFile, "admin-token-file", "", "`file` with the bearer token for /-/reload and /api/v1; without it they are open to this machine only")
	flags.StringVar(&f.cert, "tls-cert", "", "certificate `file` for --listen (PEM, with the chain)")
	flags.StringVar(&f.key, "tls-key", "", "key `file` for --tls-cert (PEM)")
	flags.StringVar(&f.data, "data", "./data", "`directory` of the embedded queue")
	flags.BoolVar(&f.lastGood, "last-good", true, "if relay.yaml has mistakes at the start, use the last good copy of it from the data directory")
	flags.StringVar(&f.natsURL, "nats-url", "", "`URL` of a NATS server or cluster to use in place of the embedded queue")
	flags.StringVar(&f.natsCreds, "nats-creds", "", "credentials `file` for --nats-url")
	flags.StringVar(&f.natsCA, "nats-ca", "", "`file` with the CA certificates (PEM) for --nats-url; without it the system's")
	flags.StringVar(&f.natsCert, "nats-cert", "", "client certificate `file` (PEM) for --nats-url, if the server asks for one")
	flags.StringVar(&f.natsKey, "nats-key", "", "key `file` for --nats-cert (PEM)")
	flags.IntVar(&f.replicas, "replicas", 1, "copies of each stream, with --nats-url")
	f.sync = addChoice(cmd, "sync", "", "always: answered means on disk; interval: a power cut may lose the last second", "always", "always", "interval")
	flags.Var(&f.history, "history", "how long events are kept after their delivery; 0: not at all")
	flags.Var(&f.maxBody, "max-body", "largest webhook")
	flags.Var(&f.events, "events-size", "room for accepted webhooks and their history")
	flags.Var(&f.parked, "parked-size", "room for deliveries that wait for their address")
	flags.Var(&f.dead, "dead-size", "room for dead letters")
	flags.Var(&f.journal, "journal-size", "room for the journal")
	f.logFormat = addChoice(cmd, "log-format", "", "form of log lines; auto: text for a terminal, else json", "auto", "auto", "json", "text")
	f.logLevel = addChoice(cmd, "log-level", "", "least that is logged", "info", "debug", "info", "warn", "error")
	flags.BoolVar(&f.demo, "demo", false, "show it all with sample webhooks: needs nothing, keeps nothing")
	flags.BoolVar(&f.stay, "stay", false, "with --demo: keep running after the last message, until Ctrl-C")
	f.addTestFlags(cmd)
}

// addTestFlags adds the flags that are for tests alone, and hidden.
//
// --pace makes every pause of the lanes so many times as long: the repeats in
// place, the pauses between probes, the waits after a refusal. It leaves alone
// what is not the relay's to choose or guards its memory: the time that an attempt
// may take, Retry-After, rate limits, give_up_after, and the 30 s after which a
// lane parks.
//
// --repeats-size is the memory of the window of repeats. A small one is full after
// seconds of load.
func (f *serveFlags) addTestFlags(cmd *cobra.Command) {
	f.repeats = dispatch.RepeatsSize
	flags := cmd.Flags()
	flags.Float64Var(&f.pace, "pace", 1, "factor of all pauses between deliveries, for tests")
	flags.Var(&f.repeats, "repeats-size", "most memory of the window of repeats, for tests")
	for _, name := range []string{"pace", "repeats-size"} {
		_ = flags.MarkHidden(name) // it fails only for a flag that does not exist
	}
}

// check finds what is wrong with the flags, before anything is opened.
func (f *serveFlags) check() error {
	if err := checkAddress("--listen", f.listen); err != nil {
		return err
	}
	if err := checkAddress("--admin", f.admin); err != nil {
		return err
	}
	switch {
	case (f.cert == "") != (f.key == ""):
		return usage("give both, or neither", "--tls-cert and --tls-key belong together")
	case f.data == "" && f.natsURL == "":
		return usage("it names a directory that the relay may write to", "--data is empty")
	case f.maxBody > queue.MaxBodyLimit:
		return usage("GitLab sends 25 MiB at most", "--max-body is larger than the queue can keep, %s", size(queue.MaxBodyLimit))
	case f.pace <= 0 || f.pace > 1:
		return usage("it is for tests, which 0.01 makes a hundred times as fast", "--pace is not above 0 and at most 1")
	case f.history < 0:
		return usage("0 drops settled events at once", "--history is negative")
	}
	if err := f.checkSizes(); err != nil {
		return err
	}
	if err := f.checkNATS(); err != nil {
		return err
	}
	return f.checkTLS()
}

// adminToken reads the file of --admin-token-file.
func (f *serveFlags) adminToken() (string, error) {
	if f.adminTokenFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(f.adminTokenFile)
	if err != nil {
		return "", usage("it names a file that holds a token", "--admin-token-file: %s cannot be read", f.adminTokenFile)
	}
	token, err := adminSecret(b)
	if err != nil {
		return "", err
	}
	if len(token) < 16 {
		return "", usage("openssl rand -hex 24 makes a good one", "--admin-token-file: the token is shorter than 16 characters")
	}
	return token, nil
}

// adminSecret is the token that a file of --admin-token-file holds.
func adminSecret(text []byte) (string, error) {
	token := strings.TrimRight(string(text), "\r\n")
	if problem, hint := configs.SecretProblem(token); problem != "" {
		return "", usage(hint, "--admin-token-file: the token %s", problem)
	}
	return token, nil
}

// checkSizes refuses streams that could not hold what they are for: some of the
// largest webhooks, one of which may fill half of what is parked.
func (f *serveFlags) checkSizes() error {
	for _, s := range []struct {
		flag string
		size size
	}{{"--events-size", f.events}, {"--parked-size", f.parked}, {"--dead-size", f.dead}} {
		if s.size < 2*f.maxBody {
			return usage("make it larger, or --max-body smaller", "%s %s holds less than two of the largest webhooks, which --max-body %s allows", s.flag, s.size, f.maxBody)
		}
	}
	if f.journal < minJournal {
		return usage("make it larger; the default is 256MiB", "--journal-size %s is less than %s", f.journal, size(minJournal))
	}
	return nil
}

func (f *serveFlags) checkNATS() error {
	switch {
	case f.natsURL == "" && f.natsCreds != "":
		return usage("give both, or neither", "--nats-creds is for --nats-url, which is empty")
	case f.natsURL == "" && f.replicas != 1:
		return usage("the embedded queue keeps one copy", "--replicas is for --nats-url, which is empty")
	case f.replicas < 1 || f.replicas > 5:
		return usage("1, 3 or 5 are usual", "--replicas %d is not between 1 and 5", f.replicas)
	case f.natsURL != "" && f.natsServers() == nil:
		return usage("it looks like nats://host:4222, or several of these with commas between", "--nats-url is no URL")
	case f.natsCreds != "" && !readable(f.natsCreds):
		return usage("it names a file that holds a JWT and a key, as nsc writes it", "--nats-creds: %s cannot be read", f.natsCreds)
	}
	return f.checkNATSFiles()
}

// checkNATSFiles looks at the certificates for an external server.
func (f *serveFlags) checkNATSFiles() error {
	for _, file := range []struct{ flag, path string }{{"--nats-ca", f.natsCA}, {"--nats-cert", f.natsCert}, {"--nats-key", f.natsKey}} {
		if file.path != "" && f.natsURL == "" {
			return usage("give both, or neither", "%s is for --nats-url, which is empty", file.flag)
		}
	}
	if (f.natsCert == "") != (f.natsKey == "") {
		return usage("give both, or neither", "--nats-cert and --nats-key belong together")
	}
	if f.natsCA != "" {
		pem, err := os.ReadFile(f.natsCA)
		if err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return usage("it names a PEM file, such as the ca.crt that signed the server's certificate", "--nats-ca: %s cannot be read, or holds no certificate", f.natsCA)
		}
	}
	if f.natsCert != "" {
		if _, err := tls.LoadX509KeyPair(f.natsCert, f.natsKey); err != nil {
			return usage("--nats-cert and --nats-key name PEM files that belong together", "load the certificate for NATS: %s", strings.TrimPrefix(err.Error(), "tls: "))
		}
	}
	return nil
}

// natsServers are the URLs in --nats-url; nil when one of them is none.
func (f *serveFlags) natsServers() []*url.URL {
	var servers []*url.URL
	for _, s := range strings.Split(f.natsURL, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s // as the NATS client takes it
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return nil
		}
		servers = append(servers, u)
	}
	return servers
}

// natsHosts are the same for people, without the credentials.
func (f *serveFlags) natsHosts() string {
	var hosts []string
	for _, u := range f.natsServers() {
		hosts = append(hosts, u.Host)
	}
	return strings.Join(hosts, ", ")
}

// secrets are the credentials in the flags.
func (f *serveFlags) secrets() []string {
	var all []string
	if f.natsURL == "" {
		return nil
	}
	for _, u := range f.natsServers() {
		password, has := u.User.Password()
		if !has {
			password = u.User.Username() // a token stands there alone
		}
		all = append(all, password)
	}
	return all
}

func (f *serveFlags) checkTLS() error {
	if f.cert == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(f.cert, f.key); err != nil {
		return usage("--tls-cert and --tls-key name PEM files that belong together", "load the certificate: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	return nil
}

// checkAddress checks an address to listen on, or one that was listened on.
func checkAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usage("it takes HOST:PORT or :PORT, such as 127.0.0.1:8080", "%s: %q is no address", flag, address)
	}
	return nil
}
