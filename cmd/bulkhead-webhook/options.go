package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
)

// options are the flags, and the configuration that they name.
type options struct {
	configFile string
	config     *configv1alpha1.BulkheadConfiguration
	kubeconfig string
	standalone string
	// customRules is a folder, decisionLog a file or a word of decisionlog.go.
	customRules, decisionLog string

	bindAddress        string
	securePort         int
	certFile, keyFile  string
	clientCAFile       string
	clientAllowedNames []string
	tlsMinVersion      string
	tlsCipherSuites    []string

	feedService string
	feedPort    int
	feedCAFile  string

	maxInFlight     int
	requestTimeout  time.Duration
	shutdownDelay   time.Duration
	shutdownTimeout time.Duration

	leaderElect    bool
	leaseNamespace string
	identity       string

	logging *logsapi.LoggingConfiguration
}

func newOptions() *options {
	return &options{
		decisionLog:     decisionLogOff,
		securePort:      8443,
		feedPort:        8444,
		maxInFlight:     400,
		requestTimeout:  10 * time.Second,
		shutdownDelay:   5 * time.Second,
		shutdownTimeout: 20 * time.Second,
		leaderElect:     true,
		leaseNamespace:  os.Getenv("POD_NAMESPACE"),
		identity:        os.Getenv("POD_NAME"),
		logging:         logsapi.NewLoggingConfiguration(),
	}
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.configFile, "config", o.configFile, "configuration `file` of kind BulkheadConfiguration; required")
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "kubeconfig `file` of the cluster; default: the pod's service account")
	flags.StringVar(&o.standalone, "standalone", o.standalone, "take Tenants from the manifests in this `folder` and run without a cluster")

	flags.StringVar(&o.customRules, "custom-rules", o.customRules, "`folder` of Rego modules in packages bulkhead.custom.*, whose rules count beside Bulkhead's; followed when it changes")
	flags.StringVar(&o.decisionLog, "decision-log", o.decisionLog, "where to write a line of JSON for each review: off, stdout or a `file`")

	flags.StringVar(&o.bindAddress, "bind-address", o.bindAddress, "IP `address` to listen on; default: all")
	flags.IntVar(&o.securePort, "secure-port", o.securePort, "HTTPS `port`; with --standalone, 0 takes a free one and the log names it")
	flags.StringVar(&o.certFile, "tls-cert-file", o.certFile, "PEM `file` of the serving certificate and its chain; followed when it changes. With --standalone, default: self-signed")
	flags.StringVar(&o.keyFile, "tls-private-key-file", o.keyFile, "PEM `file` of the certificate's key")
	flags.StringVar(&o.clientCAFile, "client-ca-file", o.clientCAFile, "PEM `file` of the CAs of whose clients AdmissionReviews are accepted; followed when it changes. Default: everybody's")
	flags.StringSliceVar(&o.clientAllowedNames, "client-allowed-names", o.clientAllowedNames, "common `names` of client certificates that are accepted; default: all that --client-ca-file signed")
	flags.StringVar(&o.tlsMinVersion, "tls-min-version", o.tlsMinVersion, "lowest TLS `version`: VersionTLS12 (default) or VersionTLS13")
	flags.StringSliceVar(&o.tlsCipherSuites, "tls-cipher-suites", o.tlsCipherSuites, "cipher `suites` of TLS 1.2; default: Go's")

	flags.StringVar(&o.feedService, "feed-service", o.feedService, "serve the feed, by which sidecars hear of their peers and report, behind the Service of this `NAMESPACE/NAME`, on its port 443. Default: none")
	flags.IntVar(&o.feedPort, "feed-port", o.feedPort, "HTTPS `port` of the feed; its certificate is that of --tls-cert-file")
	flags.StringVar(&o.feedCAFile, "feed-ca-file", o.feedCAFile, "PEM `file` of the CAs by which sidecars know the feed; followed when it changes")

	flags.IntVar(&o.maxInFlight, "max-in-flight", o.maxInFlight, "`number` of AdmissionReviews at a time, for each of /mutate and /validate; more are answered with 429")
	flags.DurationVar(&o.requestTimeout, "request-timeout", o.requestTimeout, "`time` for a request, from header to answer")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay", o.shutdownDelay, "`time` to go on serving after SIGTERM, not ready any more, until nobody sends new requests")
	flags.DurationVar(&o.shutdownTimeout, "shutdown-timeout", o.shutdownTimeout, "`time` for requests to finish after that")

	flags.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "keep the Tenants' status while this is the leader")
	flags.StringVar(&o.leaseNamespace, "lease-namespace", o.leaseNamespace, "`namespace` of the leader's Lease; default: $POD_NAMESPACE")
	o.addLoggingFlags(flags)
}

// addLoggingFlags adds component-base's, and shows those of them in the help that
// are no alpha feature: those need a feature gate that this program has not.
func (o *options) addLoggingFlags(flags *pflag.FlagSet) {
	logging := pflag.NewFlagSet("logging", pflag.ContinueOnError)
	logsapi.AddFlags(o.logging, logging)
	logging.VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = strings.HasPrefix(flag.Usage, "[Alpha]")
	})
	flags.AddFlagSet(logging)
}

// validate checks the flags and loads the configuration; the error tells all that
// is wrong.
func (o *options) validate(flags *pflag.FlagSet) error {
	var errs []error
	report := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.configFile == "" {
		report("--config is required")
	} else {
		var err error
		if o.config, err = configv1alpha1.Load(o.configFile); err != nil {
			errs = append(errs, err)
		}
	}
	if o.decisionLog == "" {
		report("--decision-log is empty; off writes none")
	}
	if o.bindAddress != "" && net.ParseIP(o.bindAddress) == nil {
		report("--bind-address %q is no IP address", o.bindAddress)
	}
	if (o.certFile == "") != (o.keyFile == "") {
		report("--tls-cert-file and --tls-private-key-file belong together")
	}
	if len(o.clientAllowedNames) > 0 && o.clientCAFile == "" {
		report("--client-allowed-names needs --client-ca-file")
	}
	if _, err := cliflag.TLSVersion(o.tlsMinVersion); err != nil {
		report("--tls-min-version: %w", err)
	}
	if _, err := cliflag.TLSCipherSuites(o.tlsCipherSuites); err != nil {
		report("--tls-cipher-suites: %w", err)
	}
	o.validateFeed(report)
	if o.maxInFlight < 1 {
		report("--max-in-flight %d is less than 1", o.maxInFlight)
	}
	if o.requestTimeout <= 0 || o.shutdownDelay < 0 || o.shutdownTimeout <= 0 {
		report("--request-timeout and --shutdown-timeout must be more than 0, --shutdown-delay at least 0")
	}
	lowest := 1
	if o.standalone != "" {
		lowest = 0
		o.validateStandalone(flags, report)
	} else {
		if o.certFile == "" {
			report("--tls-cert-file and --tls-private-key-file are required without --standalone")
		}
		if o.leaderElect && o.leaseNamespace == "" {
			report("--lease-namespace or $POD_NAMESPACE is required for --leader-elect")
		}
	}
	if o.securePort < lowest || o.securePort > 65535 {
		report("--secure-port %d is not between %d and 65535", o.securePort, lowest)
	}
	if err := logsapi.ValidateAndApply(o.logging, nil); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (o *options) validateStandalone(flags *pflag.FlagSet, report func(string, ...any)) {
	if info, err := os.Stat(o.standalone); err != nil {
		report("--standalone: %w", err)
	} else if !info.IsDir() {
		report("--standalone %s is no folder", o.standalone)
	}
	for _, name := range []string{"kubeconfig", "lease-namespace", "leader-elect", "feed-service"} {
		if flags.Changed(name) {
			report("--%s has no meaning with --standalone", name)
		}
	}
	if !flags.Changed("shutdown-delay") {
		o.shutdownDelay = 0 // nobody balances requests between replicas
	}
}
