package selftest

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Command returns the subcommand selftest.
func Command() *cobra.Command {
	var o options
	var kubeconfig string
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Check an installed Bulkhead: readiness, and one refusal by dry run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			restConfig, err := clientConfig(kubeconfig)
			if err != nil {
				return fmt.Errorf("configure the client: %w", err)
			}
			// What else could be said of the forbidden pod is beside the point.
			restConfig.WarningHandlerWithContext = rest.NoWarnings{}
			client, err := kubernetes.NewForConfig(restConfig)
			if err != nil {
				return fmt.Errorf("configure the client: %w", err)
			}
			return o.run(cmd.Context(), client, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.host, "host", "bulkhead-webhook.bulkhead-system.svc", "name or IP address of the webhook's Service")
	flags.IntVar(&o.port, "port", 443, "port of the webhook's Service")
	flags.StringVar(&o.serverName, "server-name", "bulkhead-webhook.bulkhead-system.svc", "name in the webhook's certificate")
	flags.StringVar(&o.caFile, "ca-file", "/etc/bulkhead/tls/ca.crt", "CA of the webhook's certificate")
	flags.StringVar(&o.namespace, "namespace", "default", "namespace for the dry run; must not be exempt")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long the webhook may take to be ready")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; empty: the pod's own ServiceAccount")
	return cmd
}

func clientConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}
