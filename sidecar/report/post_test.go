package report

import (
	"crypto/tls"
	"strings"
	"testing"
)

// A server that speaks something else than HTTP, or ends in the middle, has taken
// nothing.
func TestServerSpeaksSomethingElse(t *testing.T) {
	server := newFeedServer(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte(strings.Repeat("hello ", 10000)))
			_ = connection.Close()
		}
	}()
	feed := server.feed()
	feed.Address = addrPort(listener.Addr())
	client, log := start(t, feed)
	client.Report(t.Context(), failure("one"))
	eventually(t, "failed attempts", func() bool { return strings.Count(log.String(), "report was not taken") > 2 })
}

func TestTokenIsNoHeader(t *testing.T) {
	server := newFeedServer(t)
	client, log := start(t, server.feed())
	for _, token := range []string{"", " \n", "a\r\nX-Evil: b", "a b"} {
		before := strings.Count(log.String(), "holds no token")
		write(t, client.TokenFile, token)
		client.Report(t.Context(), failure("one"))
		eventually(t, "refusal", func() bool { return strings.Count(log.String(), "holds no token") > before })
	}
	if reports, _ := server.seen(); len(reports) > 0 {
		t.Errorf("sent %+v", reports)
	}
}
