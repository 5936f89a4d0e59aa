package image

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
)

// The names of the test bed's own images.
const (
	PauseName = "registry.local/pause:testbed"
	ToolsName = "registry.local/testbed/tools:dev"
)

// CertManagerRegistry is what stands before cert-manager's image names, "/cert-manager-COMPONENT:VERSION".
const CertManagerRegistry = "registry.local/cert-manager"

// Pause is the sandbox image of every pod; binary is the built node/pause.
func Pause(binary string) Image {
	return Image{Name: PauseName, Root: Root{"/pause": {Copy: binary}}, Entrypoint: []string{"/pause"}}
}

// CoreDNS is the image that install/dns.yaml names.
func CoreDNS(binary string) Image {
	return Image{
		Name:       "registry.local/coredns:testbed",
		Root:       Root{"/coredns": {Copy: binary}},
		Entrypoint: []string{"/coredns"},
		User:       "65532",
	}
}

// CertManager is one image for each component of the chart, because the chart gives arguments but no command.
func CertManager(binary, version string) []Image {
	root := Root{"/certmanager": {Copy: binary}}
	var images []Image
	for _, component := range []string{"controller", "cainjector", "webhook"} {
		images = append(images, Image{
			Name:       fmt.Sprintf("%s/cert-manager-%s:%s", CertManagerRegistry, component, version),
			Root:       root,
			Entrypoint: []string{"/certmanager", component},
			User:       "65532",
		})
	}
	return images
}

// Tools is what pods of the test bed run: a shell, a web server and client (busybox), both kinds of iptables, nsenter,
// all of this machine's own distribution, and the built node/stream.
func Tools(ctx context.Context, stream string) (Image, error) {
	root := Root{"/stream": {Copy: stream}}
	busybox, err := host.Look("busybox")
	if err != nil {
		return Image{}, err
	}
	if err := root.AddProgram(ctx, "/bin/busybox", busybox); err != nil {
		return Image{}, err
	}
	applets, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return Image{}, fmt.Errorf("list busybox's applets: %w", err)
	}
	root.AddLinks("/bin", "busybox", withoutBusybox(strings.Fields(string(applets)))...)

	links := map[string][]string{
		"xtables-nft-multi":    {"iptables", "ip6tables", "iptables-nft", "ip6tables-nft", "iptables-save", "ip6tables-save"},
		"xtables-legacy-multi": {"iptables-legacy", "ip6tables-legacy"},
		"ipset":                nil,
		"nsenter":              nil,
	}
	for program, names := range links {
		from, err := host.Look(program)
		if err != nil {
			return Image{}, err
		}
		if err := root.AddProgram(ctx, "/usr/sbin/"+program, from); err != nil {
			return Image{}, err
		}
		root.AddLinks("/usr/sbin", program, names...)
	}
	// iptables loads even its standard targets, ACCEPT and DROP, from this folder.
	if err := root.AddFiles("/usr/lib/*/xtables/*.so"); err != nil {
		return Image{}, err
	}
	return Image{Name: ToolsName, Root: root, Entrypoint: []string{"/bin/sh"}}, nil
}

func withoutBusybox(applets []string) []string {
	var names []string
	for _, applet := range applets {
		// nsenter is util-linux's in this image: experiment 8 is played with the tool that the attack was published with.
		if applet != "busybox" && applet != "nsenter" {
			names = append(names, applet)
		}
	}
	return names
}
