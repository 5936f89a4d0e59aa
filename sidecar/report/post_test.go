package report

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestParseAnswer(t *testing.T) {
	for answer, want := range map[string]struct {
		code int
		text string
	}{
		"HTTP/1.0 204 No Content\r\n\r\n":                    {204, ""},
		"HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\nx\r\n\r\ny": {400, "x\r\n\r\ny"},
		"HTTP/1.1 503\r\n\r\nbusy":                           {503, "busy"},
		"":                                                   {},
		"HTTP/1.1 204 No Content\r\n":                        {}, // cut off
		"HTTP/2 204\r\n\r\n":                                 {},
		"HTTP/1.1 x\r\n\r\n":                                 {},
		"SSH-2.0-OpenSSH_9.2\r\n\r\n":                        {},
	} {
		code, text, err := parseAnswer(answer)
		if code != want.code || text != want.text || (err == nil) != (want.code != 0) {
			t.Errorf("%q: %d, %q, %v", answer, code, text, err)
		}
	}
}

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
			_, _ = connection.Write([]byte(strings.Repeat("hello ", maxAnswer)))
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
