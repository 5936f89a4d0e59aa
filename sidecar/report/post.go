package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// The answers that are told apart.
const (
	taken         = 204
	notUnderstood = 400
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 8 << 10

// post sends a body by HTTP/1.0 (RFC 1945), whose answer ends with the connection:
// reports are rare, and the other replica may answer the next. Package net/http would
// be a fifth of the program and of its memory, in every pod, for this one request.
func (c *Client) post(ctx context.Context, token string, body []byte) (code int, reason string, err error) {
	if token == "" || strings.ContainsAny(token, "\r\n ") {
		return 0, "", errors.New("the token file holds no token")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connection, err := c.dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return 0, "", fmt.Errorf("connect to the feed: %w", err)
	}
	defer connection.Close()
	// Ends what is under way.
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Now()) })()
	request := fmt.Appendf(nil, "POST %s HTTP/1.0\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", protocol.ReportPath, c.serverName, token, len(body))
	if _, err := connection.Write(append(request, body...)); err != nil {
		return 0, "", fmt.Errorf("send report: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(connection, maxAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("read answer: %w", err)
	}
	return parseAnswer(string(answer))
}

// parseAnswer reads "HTTP/1.1 403 Forbidden", header and text.
func parseAnswer(answer string) (code int, text string, err error) {
	head, text, complete := strings.Cut(answer, "\r\n\r\n")
	status, _, _ := strings.Cut(head, "\r\n")
	version, rest, _ := strings.Cut(status, " ")
	number, _, _ := strings.Cut(rest, " ")
	code, err = strconv.Atoi(number)
	if err != nil || !complete || !strings.HasPrefix(version, "HTTP/1.") {
		return 0, "", fmt.Errorf("this is no answer of HTTP: %q", protocol.Text(answer))
	}
	return code, text, nil
}
