package protocol

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Encode makes a line of a ToServer or a ToSidecar. It does not validate: who sends
// knows what it made.
func Encode(message any) ([]byte, error) {
	line, err := json.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return append(line, '\n'), nil
}

// ReadToServer reads a sidecar's next line. The error is io.EOF only where the stream
// ends between lines.
func ReadToServer(r *bufio.Reader) (*ToServer, error) {
	message := &ToServer{}
	if err := read(r, MaxLineToServer, message); err != nil {
		return nil, err
	}
	return message, nil
}

// ReadToSidecar reads the server's next line, as ReadToServer does a sidecar's.
func ReadToSidecar(r *bufio.Reader) (*ToSidecar, error) {
	message := &ToSidecar{}
	if err := read(r, MaxLine, message); err != nil {
		return nil, err
	}
	return message, nil
}

type validator interface{ Validate() error }

func read(r *bufio.Reader, limit int, into validator) error {
	line, err := readLine(r, limit)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("decode: data after the message")
	}
	return into.Validate()
}

// readLine returns a line without its end. It is good until the next call: a line that
// fits the reader's buffer is not copied.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		switch {
		case len(long)+len(part) > limit:
			return nil, fmt.Errorf("read: a line is longer than %d bytes", limit)
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(long, part[:len(part)-1]...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
		case err == io.EOF && len(long)+len(part) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
		default:
			return nil, fmt.Errorf("read: %w", err)
		}
	}
}
