package report

import (
	"bufio"
	"context"
	"fmt"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/dial"
)

// The answers that are told apart.
const (
	taken         = 204
	notUnderstood = 400
)

// post sends a body by HTTP/1.0 (RFC 1945), whose answer ends with the connection:
// reports are rare, and the other replica may answer the next.
func (c *Client) post(ctx context.Context, body []byte) (code int, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connection, end, err := c.Request(ctx, "POST "+protocol.ReportPath+" HTTP/1.0",
		fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body)), body)
	if err != nil {
		return 0, "", err
	}
	defer connection.Close()
	defer end()
	answer := bufio.NewReader(connection)
	if code, err = dial.ReadStatus(answer); err != nil || code == taken {
		return code, "", err
	}
	reason, err = dial.ReadText(answer)
	return code, reason, err
}
