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
// cluster; what it follows itself it holds only while it runs.
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
	factory := informers.NewSharedInformerFactoryWithOptions(s.kube, 0, informers.WithTransform(nameOnly))
	run := &statusRun{
		cluster:    s.cluster,
		events:     s.events,
		feed:       s.feed,
		began:      time.Now(),
		namespaces: factory.Core().V1().Namespaces().Informer(),
		pods:       s.feed.Pods,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.DefaultTypedControllerRateLimiter[string](),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: "tenant-status"},
		),
	}
	defer run.queue.ShutDown()
	if run.pods == nil {
		run.pods = followPods(ctx, s.kube)
	}
	unfollow, err := run.follow()
	defer unfollow()
	if err != nil {
		return fmt.Errorf("follow tenants and namespaces: %w", err)
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), s.cluster.HasSynced, run.namespaces.HasSynced, run.pods.hasSynced) {
		return nil
	}
	defer run.pods.watch(run.podChanged)()
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

// nameOnly leaves of a namespace what is looked for.
func nameOnly(object any) (any, error) {
	if n, ok := object.(*corev1.Namespace); ok {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n.Name, ResourceVersion: n.ResourceVersion}}, nil
	}
	return object, nil
}

// statusRun is one term of office.
type statusRun struct {
	cluster    *Cluster
	events     EventRecorder
	feed       Feed
	unserved   string // what identity said last
	connected  atomic.Pointer[map[string]int]
	began      time.Time
	namespaces cache.SharedIndexInformer
	pods       *Members
	queue      workqueue.TypedRateLimitingInterface[string]
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
	_, err = r.namespaces.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: r.namespaceChanged, DeleteFunc: r.namespaceChanged})
	return unfollow, err
}

func (r *statusRun) enqueueAll() {
	for _, t := range r.cluster.Index().Tenants() {
		r.queue.AddAfter(t.Name, settle)
	}
}

func (r *statusRun) namespaceChanged(object any) {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		klog.ErrorS(err, "Event of an unknown object")
		return
	}
	r.enqueueClaimers(name.Name)
}

func (r *statusRun) podChanged(namespace string, before *fact, now *member) {
	if before == nil || now == nil || before.ended != now.ended || before.protected != now.protected {
		r.enqueueClaimers(namespace)
	}
	if now != nil {
		r.tellFailures(before, now)
	}
}

func (r *statusRun) enqueueClaimers(namespace string) {
	for _, t := range r.cluster.Index().Claimers(namespace) {
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
		pods, protected := r.pods.count(namespace)
		status.Pods += pods
		status.ProtectedPods += protected
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
