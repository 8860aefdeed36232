package test

import (
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	proxyPass   = regexp.MustCompile(`(?m)^\s*proxy_pass (http://127\.0\.0\.1:808[01]);$`)
	proxyHeader = regexp.MustCompile(`(?m)^\s*proxy_set_header (\S+) (\S+);$`)
)

// at are the addresses of a relay's listeners, as a page's blocks name them.
func at(relay *process) *strings.Replacer {
	return strings.NewReplacer("127.0.0.1:8080", strings.TrimPrefix(relay.public(""), "http://"), "127.0.0.1:8081", relay.admin)
}

// nginxHeaders are two proxies that send what the blocks have nginx send.
func nginxHeaders(t *testing.T, relay *process, blocks []block) (public, admin string) {
	t.Helper()
	var proxies []string
	for _, b := range blocks {
		to := proxyPass.FindStringSubmatch(b.text)
		if to == nil {
			t.Fatalf("line %d: no proxy_pass", b.line)
		}
		target, err := url.Parse(at(relay).Replace(to[1]))
		if err != nil {
			t.Fatal(err)
		}
		headers := proxyHeader.FindAllStringSubmatch(b.text, -1)
		if len(headers) == 0 {
			t.Fatalf("line %d: no proxy_set_header", b.line)
		}
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			for _, h := range headers {
				value := strings.NewReplacer("$host", "relay.example", "$remote_addr", "192.0.2.1").Replace(h[2])
				if r.Out.Header.Set(h[1], value); h[1] == "Host" {
					r.Out.Header.Del("Host")
					r.Out.Host = value
				}
			}
		}})
		t.Cleanup(proxy.Close)
		proxies = append(proxies, proxy.URL)
	}
	return proxies[0], proxies[1]
}

// freeAddresses are free a moment before they are used.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// startProxy starts a proxy's program with a configuration, until the test ends.
func startProxy(t *testing.T, program, configuration string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "configuration")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(configuration, "$DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range args {
		args[i] = strings.NewReplacer("$DIR", dir, "$FILE", file).Replace(args[i])
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed:\n%s", program, tailOf(said.String()))
		}
	})
}

func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed here", program)
	}
	return path
}

var tlsOfNginx = regexp.MustCompile(`(?m)^\s*(listen \d+ ssl;|ssl_certificate.*)$`)

// startNginx runs nginx with the blocks, without TLS.
func startNginx(t *testing.T, relay *process, blocks []block) (public, admin string) {
	t.Helper()
	program := installed(t, "nginx")
	free := freeAddresses(t, 2)
	configuration := "daemon off;\nmaster_process off;\npid $DIR/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		configuration += name + "_temp_path $DIR/" + name + ";\n"
	}
	for i, b := range blocks {
		listen := "listen " + free[i] + ";"
		text := tlsOfNginx.ReplaceAllString(at(relay).Replace(b.text), "")
		configuration += strings.Replace(text, "server {", "server {\n"+listen, 1)
	}
	startProxy(t, program, configuration+"}\n", "-p", "$DIR", "-e", "stderr", "-c", "$FILE")
	eventually(t, "http://"+free[1]+"/healthz")
	return "http://" + free[0], "http://" + free[1]
}

// startCaddy runs Caddy with the blocks, without TLS.
func startCaddy(t *testing.T, relay *process, blocks []block) (public, admin string) {
	t.Helper()
	program := installed(t, "caddy")
	free := freeAddresses(t, 2)
	configuration := "{\n\tadmin off\n\tauto_https off\n}\n"
	for i, b := range blocks {
		_, rest, _ := strings.Cut(at(relay).Replace(b.text), "{")
		configuration += "http://" + free[i] + " {" + rest
	}
	startProxy(t, program, configuration, "run", "--adapter", "caddyfile", "--config", "$FILE")
	eventually(t, "http://"+free[1]+"/healthz")
	return "http://" + free[0], "http://" + free[1]
}
