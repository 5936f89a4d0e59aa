package experiments

import (
	"context"
	"os"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

func Dev(ctx context.Context, repository string, log *progress.Log) (*results.Report, error) {
	options := cluster.Options{Repository: repository, Ranges: Ranges(), Second: SecondRanges(), Log: log}
	return play(ctx, options, func(r *run) []step {
		s := []step{
			{"dns", "install DNS", r.dns},
			{"prepare", "prepare namespaces and images", r.prepare}}
		if os.Getenv("SKIP_WITHOUT") == "" {
			s = append(s, step{"faultsWithout", "play faults without Bulkhead", r.faults(false)})
		}
		if os.Getenv("SKIP_WITH") == "" {
			s = append(s, step{"certManager", "install cert-manager", r.certManager},
				step{"bulkhead", "install Bulkhead", r.bulkhead},
				step{"faultsWith", "play faults with Bulkhead", r.faults(true)},
				step{"uninstall", "uninstall Bulkhead and start a pod", r.uninstall})
		}
		return s
	})
}
