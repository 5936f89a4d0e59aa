package check

import (
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say what is checked, and against what.
type Options struct {
	// Files are manifests, folders of them, or "-" for Stdin.
	Files []string
	Stdin io.Reader
	// Progress is told how far a long run is.
	Progress io.Writer
	// Namespace is where objects go that name none; empty: the first of the tenant that
	// Tenant names, or default.
	Namespace string
	// Tenant is a file or folder with Tenants (Namespaces and LimitRanges count too), or
	// a tenant's name. A name that no manifest defines stands for a tenant that has
	// nothing but defaults, and every namespace without a tenant.
	Tenant string
	// Config is a file of kind BulkheadConfiguration; empty: defaults.
	Config string
	// CustomRules is a folder of Rego modules.
	CustomRules string
	// Strict: warnings fail too, and so does a run in which nothing was judged.
	Strict bool
}

// Validate tells what is missing or wrong.
func (o *Options) Validate() error {
	if len(o.Files) == 0 {
		return errors.New("no manifests: give files or folders, by -f or as they are, or - for standard input")
	}
	if texts := validation.IsDNS1123Label(o.Namespace); o.Namespace != "" && len(texts) > 0 {
		return fmt.Errorf("--namespace %q: %s", o.Namespace, texts[0])
	}
	return nil
}
