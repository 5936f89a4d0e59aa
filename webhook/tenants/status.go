package tenants

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// settle is how long changes gather before a status is written: pods come and go
// in crowds.
const settle = time.Second

// reasonReady is the reason of a true condition Ready.
const reasonReady = "Admitting"

// StatusController keeps the status of all Tenants. One at a time runs in a
// cluster; what it follows of namespaces and pods it holds only while it runs.
type StatusController struct {
	cluster *Cluster
	kube    kubernetes.Interface
	events  EventRecorder
	feed    Feed
}

// NewStatusController takes the cluster's Tenants from a running Cluster.
func NewStatusController(cluster *Cluster, kube kubernetes.Interface, events EventRecorder, feed Feed) *StatusController {
	return &StatusController{cluster, kube, events, feed}
}

// Run writes statuses until the context ends, which is no error.
func (s *StatusController) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(s.kube, 0, informers.WithTransform(trim))
	run := &statusRun{
		cluster:    s.cluster,
		events:     s.events,
		feed:       s.feed,
		began:      time.Now(),
		namespaces: factory.Core().V1().Namespaces().Informer(),
		pods:       factory.Core().V1().Pods().Informer(),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.DefaultTypedControllerRateLimiter[string](),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: "tenant-status"},
		),
	}
	defer run.queue.ShutDown()
	unfollow, err := run.follow()
	defer unfollow()
	if err != nil {
		return fmt.Errorf("follow tenants, namespaces and pods: %w", err)
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), s.cluster.HasSynced, run.namespaces.HasSynced, run.pods.HasSynced) {
		return nil
	}
	go wait.UntilWithContext(ctx, run.work, time.Second)
	if s.feed.Identity != nil {
		go wait.UntilWithContext(ctx, run.followIdentity, settle)
	}
	if s.feed.Connected != nil {
		go wait.UntilWithContext(ctx, run.followConnected, connectedEach)
	}
	<-ctx.Done()
	return nil
}

// trim leaves of an object what the counts need: the memory of all pods of a
// cluster is what this controller costs.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		return newMember(o), nil
	case *corev1.Namespace:
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.Name, ResourceVersion: o.ResourceVersion}}, nil
	}
	return object, nil
}

// statusRun is one term of office.
type statusRun struct {
	cluster          *Cluster
	events           EventRecorder
	feed             Feed
	unserved         string // what identity said last
	connected        atomic.Pointer[map[string]int]
	began            time.Time
	namespaces, pods cache.SharedIndexInformer
	queue            workqueue.TypedRateLimitingInterface[string]
}

// follow enqueues the tenants that an event concerns.
func (r *statusRun) follow() (unfollow func(), err error) {
	var registration cache.ResourceEventHandlerRegistration
	unfollow = func() {
		if registration == nil {
			return
		}
		if err := r.cluster.informer.RemoveEventHandler(registration); err != nil {
			klog.ErrorS(err, "Cannot stop following tenants")
		}
	}
	handler := func(enqueue func(object any)) cache.ResourceEventHandler {
		return cache.ResourceEventHandlerFuncs{
			AddFunc:    enqueue,
			UpdateFunc: func(_, object any) { enqueue(object) },
			DeleteFunc: enqueue,
		}
	}
	// A change of one Tenant may make or end a conflict with any other.
	if registration, err = r.cluster.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { r.enqueueAll() },
		DeleteFunc: func(any) { r.enqueueAll() },
		UpdateFunc: func(old, updated any) {
			if specChanged(old, updated) {
				r.enqueueAll()
				return
			}
			r.queue.AddAfter(updated.(*v1alpha1.Tenant).Name, settle)
		},
	}); err != nil {
		return unfollow, err
	}
	if _, err = r.namespaces.AddEventHandler(handler(func(object any) { r.enqueueClaimers(object, metav1.Object.GetName) })); err != nil {
		return unfollow, err
	}
	if _, err = r.pods.AddEventHandler(handler(func(object any) { r.enqueueClaimers(object, metav1.Object.GetNamespace) })); err != nil {
		return unfollow, err
	}
	_, err = r.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(pod any) { r.tellFailures(nil, pod.(*member)) },
		UpdateFunc: func(before, pod any) { r.tellFailures(before.(*member), pod.(*member)) },
	})
	return unfollow, err
}

func (r *statusRun) enqueueAll() {
	for _, t := range r.cluster.Index().Tenants() {
		r.queue.AddAfter(t.Name, settle)
	}
}

func (r *statusRun) enqueueClaimers(object any, namespace func(metav1.Object) string) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		klog.ErrorS(err, "Event of an unknown object")
		return
	}
	for _, t := range r.cluster.Index().Claimers(namespace(accessor)) {
		r.queue.AddAfter(t.Name, settle)
	}
}

func (r *statusRun) work(ctx context.Context) {
	for {
		name, shutdown := r.queue.Get()
		if shutdown {
			return
		}
		err := r.write(ctx, name)
		if err == nil {
			r.queue.Forget(name)
		} else {
			if !apierrors.IsConflict(err) && ctx.Err() == nil {
				klog.ErrorS(err, "Cannot write the status of a tenant, trying again", "tenant", name)
			}
			r.queue.AddRateLimited(name)
		}
		r.queue.Done(name)
	}
}

// write brings the status of a Tenant up to date, if it is not.
func (r *statusRun) write(ctx context.Context, name string) error {
	object, exists, err := r.cluster.informer.GetStore().GetByKey(name)
	if err != nil || !exists {
		return err
	}
	t := r.cluster.Index().Get(name)
	if t == nil {
		return nil
	}
	updated := object.(*v1alpha1.Tenant).DeepCopy()
	before := updated.Status.DeepCopy()
	if err := r.count(t, &updated.Status); err != nil {
		return err
	}
	meta.SetStatusCondition(&updated.Status.Conditions, ready(t, t.Unready(r.feed.Identity)))
	if equality.Semantic.DeepEqual(before, &updated.Status) {
		return nil
	}
	_, err = r.cluster.client.UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (r *statusRun) count(t *Tenant, status *v1alpha1.TenantStatus) error {
	status.Namespaces, status.Pods, status.ProtectedPods = 0, 0, 0
	status.ConnectedPods = r.connectedPods(t)
	for _, namespace := range t.Spec.Namespaces {
		if _, exists, err := r.namespaces.GetStore().GetByKey(namespace); err != nil {
			return err
		} else if exists {
			status.Namespaces++
		}
		pods, err := r.pods.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
		if err != nil {
			return err
		}
		for _, object := range pods {
			pod := object.(*member)
			if pod.ended {
				continue
			}
			status.Pods++
			if pod.protected {
				status.ProtectedPods++
			}
		}
	}
	return nil
}

func ready(t *Tenant, problems []Problem) metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: t.Generation,
		Reason: reasonReady, Message: "pods of this tenant can be admitted",
	}
	if len(problems) > 0 {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, problems[0].Reason, messageOf(problems)
	}
	return condition
}

// maxMessage is the CRD's bound of a condition's message, in runes; bytes are
// never fewer.
const maxMessage = 32768

func messageOf(problems []Problem) string {
	text := Texts(problems)
	if len(text) <= maxMessage {
		return text
	}
	const ellipsis = " …"
	cut := maxMessage - len(ellipsis)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}
