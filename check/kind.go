package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// unknownKind is the error of an object whose kind should be known, and is not: no rule
// would be about it, and a misspelt Pod would pass. Of others' groups nothing is known.
func (o *object) unknownKind() error {
	kind := o.GroupVersionKind()
	if o.isConfig() || scheme.Scheme.Recognizes(kind) || !isKubernetes(kind.Group) && !isConfigGroup(kind.Group) {
		return nil
	}
	text := fmt.Sprintf("Kubernetes has no kind %s of apiVersion %s", o.Kind, o.APIVersion)
	if like := kindLike(kind); like != "" {
		text += ": is it " + like + "?"
	}
	return fmt.Errorf("%s", text)
}

// isKubernetes tells whether the API server has the group itself. That of a
// CustomResourceDefinition has a dot, which the API server requires
// (apiextensions-apiserver, validation.go), so that app/v1 is apps/v1 misspelt.
func isKubernetes(group string) bool {
	return !strings.Contains(group, ".") || slices.ContainsFunc(scheme.Scheme.PrioritizedVersionsAllGroups(), func(known schema.GroupVersion) bool {
		return strings.EqualFold(known.Group, group)
	})
}

func isConfigGroup(group string) bool {
	known, _, _ := strings.Cut(configv1alpha1.APIVersion, "/")
	return strings.EqualFold(known, group)
}

// kindLike is the kind of the same letters that may be meant: of the same group or one
// that is judged before others. Empty: there is none.
func kindLike(kind schema.GroupVersionKind) string {
	if isConfigGroup(kind.Group) {
		return configv1alpha1.APIVersion + " " + configv1alpha1.Kind
	}
	var like []schema.GroupVersionKind
	for known := range scheme.Scheme.AllKnownTypes() {
		newest := scheme.Scheme.PrioritizedVersionsForGroup(known.Group)
		if strings.EqualFold(known.Kind, kind.Kind) && len(newest) > 0 && newest[0].Version == known.Version {
			like = append(like, known)
		}
	}
	if len(like) == 0 {
		return ""
	}
	rank := func(known schema.GroupVersionKind) int {
		switch {
		case known.Group == kind.Group:
			return 0
		case webhook.Judges(known):
			return 1
		default:
			return 2
		}
	}
	found := slices.MinFunc(like, func(a, b schema.GroupVersionKind) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.String(), b.String()))
	})
	return found.GroupVersion().String() + " " + found.Kind
}
