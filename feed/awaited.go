package feed

import "time"

// awaited is a version that the pod must acknowledge; 0: none.
type awaited struct {
	version uint64
	since   time.Time
	within  time.Duration
}

// by is when it must have.
func (a *awaited) by() time.Time {
	if a.version == 0 {
		return time.Now().Add(time.Hour)
	}
	return a.since.Add(a.within)
}

func (a *awaited) told(version, acked uint64, now time.Time) {
	if a.version == 0 || acked >= a.version {
		a.version, a.since = version, now
	}
}

// applied is false when the time is over.
func (a *awaited) applied(told, acked uint64, now time.Time) bool {
	switch {
	case a.version == 0 || acked >= told:
		a.version = 0
	case acked >= a.version:
		a.version, a.since = told, now
	case !now.Before(a.since.Add(a.within)):
		return false
	}
	return true
}
