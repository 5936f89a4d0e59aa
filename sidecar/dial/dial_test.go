package dial

import (
	"bufio"
	"strings"
	"testing"
	"time"
)

func TestReadStatus(t *testing.T) {
	for answer, want := range map[string]struct {
		code int
		text string
	}{
		"HTTP/1.0 204 No Content\r\n\r\n":                            {204, ""},
		"HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\nx\r\n\r\ny":         {400, "x    y"},
		"HTTP/1.1 503\r\n\r\nbusy":                                   {503, "busy"},
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n{}\n": {101, "{}"},
		"":                                 {},
		"HTTP/1.1 204 No Content\r\n":      {}, // cut off
		"HTTP/1.1 204 No Content":          {},
		"HTTP/2 204\r\n\r\n":               {},
		"HTTP/1.1 x\r\n\r\n":               {},
		"SSH-2.0-OpenSSH_9.2\r\n\r\n":      {},
		strings.Repeat("HTTP/1.1 ", 10000): {},
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1000) + "\r\n":        {},
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 100_000) + "\r\n\r\nbody": {},
	} {
		r := bufio.NewReader(strings.NewReader(answer))
		code, err := ReadStatus(r)
		if code != want.code || (err == nil) != (want.code != 0) {
			t.Errorf("%.40q: %d, %v", answer, code, err)
		}
		if err == nil {
			if text, err := ReadText(r); text != want.text || err != nil {
				t.Errorf("%.40q: text %q, %v", answer, text, err)
			}
		}
	}
}

func TestWhenToComeAgain(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                                      0,
		"Retry-After: 1\r\n":                    time.Second,
		"retry-after:30\r\n":                    30 * time.Second,
		"Retry-After: -1\r\n":                   0,
		"Retry-After: 99999999999999999999\r\n": 0,
		"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n":    0,
		"X-Retry-After: 7\r\nRetry-After: 2\r\nA: b\r\n":    2 * time.Second,
		"Content-Type: text/plain\r\nConnection: close\r\n": 0,
	} {
		code, again, err := ReadHeader(bufio.NewReader(strings.NewReader("HTTP/1.1 429 Too Many Requests\r\n" + header + "\r\nRetry-After: 9\r\n")))
		if code != 429 || again != want || err != nil {
			t.Errorf("%q: %d, %s, %v", header, code, again, err)
		}
	}
}
