package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serveNamespaces stands in for an API server, which PSA's webhook asks for namespaces,
// and returns a kubeconfig that leads to it.
func (b *bench) serveNamespaces(ctx context.Context, running *sync.WaitGroup) (kubeconfig string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(namespaceList),
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	running.Go(func() { _ = server.Serve(listener) }) // ends below
	running.Go(func() {
		<-ctx.Done()
		server.Close()
	})
	kubeconfig = filepath.Join(b.dir, "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: %q}}], users: [{name: a, user: {}}]}", "http://"+listener.Addr().String())
	return kubeconfig, os.WriteFile(kubeconfig, []byte(text), 0o600)
}

// namespaceList answers lists, and watches in which nothing happens. It knows no
// streamed lists (KEP-3157), which clients then do without.
func namespaceList(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if query := r.URL.Query(); query.Get("sendInitialEvents") == "true" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422}`)
		return
	} else if query.Get("watch") == "true" {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	list := corev1.NamespaceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for _, level := range levels {
		list.Items = append(list.Items, *namespace(level))
	}
	_ = json.NewEncoder(w).Encode(list) // the client is gone, then
}

// moduleVersion is the version of a module that this program is built with.
func moduleVersion(path string) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version, nil
			}
		}
	}
	return "", fmt.Errorf("no version of module %s in this program", path)
}
