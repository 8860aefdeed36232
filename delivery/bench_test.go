package delivery

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
)

// One attempt, the chat's side of it included: net/http both ways.
func BenchmarkPost(b *testing.B) {
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	defer chat.Close()
	clients := NewClients("test")
	defer clients.Close()
	ds, err := clients.Prepare([]configs.Destination{{Name: "mm", Kind: configs.KindMattermost, URL: configs.NewSecret(chat.URL + "/hooks/x")}}, configs.EgressPrivate)
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		if r := post(b.Context(), &ds[0], body); r.verdict != Delivered {
			b.Fatal(r.text)
		}
	}
}
