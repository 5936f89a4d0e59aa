package namespaces

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestPods reads page by page, as far as it is asked to.
func TestPods(t *testing.T) {
	client := fake.NewClientset()
	pages, broken := 0, 0
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		options := action.(clienttesting.ListActionImpl).ListOptions
		if wanted := map[int]string{0: "", 1: "1", 2: "2"}[pages]; options.Continue != wanted || options.Limit != page || action.GetNamespace() != "alice" {
			t.Errorf("page %d: %+v of %s", pages, options, action.GetNamespace())
		}
		if pages++; pages == broken {
			return true, nil, errors.New("etcd is gone")
		}
		list := &corev1.PodList{Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(pages)}}}}
		if pages < 3 {
			list.Continue = fmt.Sprint(pages)
		}
		return true, list, nil
	})
	for name, test := range map[string]struct {
		most, broken int
		want         []string
		fails        bool
	}{
		"all":        {10, 0, []string{"1", "2", "3"}, false},
		"some":       {2, 0, []string{"1", "2"}, false},
		"an error":   {10, 2, []string{"1"}, true},
		"not at all": {10, 1, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			pages, broken = 0, test.broken
			var got []string
			err := NewPods(client).Each(t.Context(), "alice", func(pod *corev1.Pod) bool {
				got = append(got, pod.Name)
				return len(got) < test.most
			})
			if !slices.Equal(got, test.want) || (err != nil) != test.fails {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
