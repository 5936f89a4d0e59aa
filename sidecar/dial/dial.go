// Package dial reaches the feed: over TLS, with the pod's token, by HTTP/1 as far as
// sidecars need it. Package net/http would be a fifth of the program and of its memory,
// in every pod, for two requests.
package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// Feed is the server's side.
type Feed struct {
	// TokenFile is read for every request, since the kubelet replaces it.
	TokenFile string

	dialer              tls.Dialer
	address, serverName string
}

// New prepares for a feed.
func New(feed *config.Feed) (*Feed, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(feed.CA)) {
		return nil, errors.New("use the feed's CA: there is no certificate in it")
	}
	return &Feed{
		TokenFile: protocol.TokenFile,
		dialer: tls.Dialer{
			NetDialer: &net.Dialer{},
			Config:    &tls.Config{RootCAs: pool, ServerName: feed.ServerName, MinVersion: tls.VersionTLS13},
		},
		address:    feed.Address.String(),
		serverName: feed.ServerName,
	}, nil
}

// Request connects and sends a request: its first line, such as "GET /path HTTP/1.1",
// further header lines, each with its end, and a body. The end of the context cuts the
// connection, as long as end has not been called.
func (f *Feed) Request(ctx context.Context, line, header string, body []byte) (connection net.Conn, end func(), err error) {
	token, err := f.token()
	if err != nil {
		return nil, nil, err
	}
	connection, err = f.dialer.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the feed: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Now()) })
	request := fmt.Appendf(nil, "%s\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", line, f.serverName, token, header)
	if _, err := connection.Write(append(request, body...)); err != nil {
		stop()
		return nil, nil, errors.Join(fmt.Errorf("send the request: %w", err), connection.Close())
	}
	return connection, func() { stop() }, nil
}

func (f *Feed) token() (string, error) {
	text, err := os.ReadFile(f.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n ") {
		return "", errors.New("the token file holds no token")
	}
	return token, nil
}

const (
	// maxHeaders bounds the lines of an answer's header; a line is bounded by the
	// reader's buffer.
	maxHeaders = 100
	// maxText bounds what is read of an answer beside.
	maxText = 8 << 10
)

// ReadStatus reads the first line and the header of an answer, up to where the body
// begins or another protocol.
func ReadStatus(r *bufio.Reader) (code int, err error) {
	code, _, err = ReadHeader(r)
	return code, err
}

// ReadHeader is ReadStatus, and says when to come again: after Retry-After, where that is
// a number of seconds; 0: it does not say.
func ReadHeader(r *bufio.Reader) (code int, again time.Duration, err error) {
	line, err := r.ReadSlice('\n')
	status := strings.TrimRight(string(line), "\r\n")
	version, rest, _ := strings.Cut(status, " ")
	number, _, _ := strings.Cut(rest, " ")
	code, notNumber := strconv.Atoi(number)
	switch {
	case err == io.EOF && status == "":
		return 0, 0, fmt.Errorf("read answer: %w", io.ErrUnexpectedEOF)
	case err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull):
		return 0, 0, fmt.Errorf("read answer: %w", err)
	case err != nil || notNumber != nil || !strings.HasPrefix(version, "HTTP/1."):
		return 0, 0, fmt.Errorf("this is no answer of HTTP: %q", protocol.Text(status))
	}
	for range maxHeaders {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, 0, fmt.Errorf("read answer's header: %w", err)
		}
		header := strings.TrimRight(string(line), "\r\n")
		if header == "" {
			return code, again, nil
		}
		if name, value, _ := strings.Cut(header, ":"); strings.EqualFold(name, "Retry-After") {
			if seconds, err := strconv.ParseUint(strings.TrimSpace(value), 10, 16); err == nil {
				again = time.Duration(seconds) * time.Second
			}
		}
	}
	return 0, 0, errors.New("read answer's header: it does not end")
}

// ReadText reads what an answer says, up to the end of the connection.
func ReadText(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxText))
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	return protocol.Text(strings.TrimSpace(string(text))), nil
}
