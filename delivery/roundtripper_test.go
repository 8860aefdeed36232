package delivery

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
)

// TestRoundTripper: what is no destination is reached under the same rules.
func TestRoundTripper(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	dir := t.TempDir()
	ca, none := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "none.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for path, data := range map[string][]byte{ca: block, none: []byte("none")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, ca, egress, want string }{
		{"trusted", ca, configs.EgressPrivate, ""},
		{"not trusted", "", configs.EgressPrivate, "certificate"},
		{"not public", ca, configs.EgressPublic, "not allowed to connect there"},
		{"no certificate", none, configs.EgressPrivate, "holds no certificate"},
		{"no file", filepath.Join(dir, "nowhere"), configs.EgressPrivate, "read ca_file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			rt, err := NewRoundTripper(tt.ca, tt.egress)
			if err == nil {
				var res *http.Response
				if res, err = (&http.Client{Transport: rt}).Get(server.URL); err == nil {
					res.Body.Close()
				}
			}
			if err != nil {
				got = err.Error()
			}
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
