package main

import (
	"fmt"
	"os"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// The values of --decision-log that are no file.
const (
	decisionLogOff    = "off"
	decisionLogStdout = "stdout"
)

// decisions opens the decision log; nil: there is none. A file is appended to, so
// that whoever rotates it may copy and truncate it.
func (o *options) decisions() (*webhook.DecisionLog, error) {
	switch o.decisionLog {
	case decisionLogOff:
		return nil, nil
	case decisionLogStdout:
		return webhook.NewDecisionLog(os.Stdout), nil
	}
	file, err := os.OpenFile(o.decisionLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open --decision-log: %w", err)
	}
	return webhook.NewDecisionLog(file), nil
}
