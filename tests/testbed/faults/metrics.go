package faults

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// feedPort is where the webhook's pods take reports and tell what they heard.
const feedPort = "8444"

// tamperings is what the metric of them says for a tenant: the sum over the webhook's pods, read as Prometheus does.
func (s *stage) tamperings(ctx context.Context, tenant string) (int, error) {
	token, err := s.scraper(ctx)
	if err != nil {
		return 0, fmt.Errorf("make a scraper: %w", err)
	}
	pods, err := s.Client().CoreV1().Pods(install.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		return 0, err
	}
	// Whether the certificate is the right one is not what is asked here.
	client := &http.Client{Transport: &http.Transport{
		DialContext: s.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	sum := 0
	for _, pod := range pods.Items {
		count, err := scrape(ctx, client, "https://"+net.JoinHostPort(pod.Status.PodIP, feedPort)+"/metrics", token, tenant)
		if err != nil {
			return 0, fmt.Errorf("metrics of %s: %w", pod.Name, err)
		}
		sum += count
	}
	return sum, nil
}

func scrape(ctx context.Context, client *http.Client, url, token, tenant string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, response.Status)
	}
	sum := 0
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "bulkhead_firewall_tamperings_total{") || !strings.Contains(name, fmt.Sprintf("tenant=%q", tenant)) {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		sum += int(count)
	}
	return sum, lines.Err()
}

// scraper returns a token of a service account that may read metrics and nothing else.
func (s *stage) scraper(ctx context.Context) (string, error) {
	const name = "testbed-scraper"
	meta := metav1.ObjectMeta{Name: name, Namespace: install.Namespace}
	account := &corev1.ServiceAccount{ObjectMeta: meta}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: install.Namespace}},
	}
	accounts := s.Client().CoreV1().ServiceAccounts(install.Namespace)
	for _, create := range []func() error{
		func() error { _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); return err },
		func() error {
			_, err := s.Client().RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
			return err
		},
		func() error {
			_, err := s.Client().RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
			return err
		},
	} {
		if err := create(); err != nil && !apierrors.IsAlreadyExists(err) {
			return "", err
		}
	}
	request, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}
