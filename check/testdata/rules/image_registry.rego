# METADATA
# title: Registry of images
# description: Images come from the house's own registry.
# custom:
#   id: custom-image-registry
#   severity: high
#   avoid: |
#     kind: Pod
#     spec:
#       initContainers:
#         - {name: init, image: busybox}
#       containers:
#         - {name: app, image: docker.io/library/nginx}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - {name: app, image: registry.example.com/nginx@sha256:0123}
package bulkhead.custom.image_registry

import data.lib.pod
import data.lib.report

violations contains report.violation(
	container,
	"image",
	concat(", ", [report.is(image), "not of an allowed registry"]),
	"use an image of registry.example.com",
) if {
	some container in pod.containers
	image := object.get(input.whole.spec[container.kind][container.index], "image", "")
	not safe(image)
}

safe(image) if startswith(image, "registry.example.com/")
