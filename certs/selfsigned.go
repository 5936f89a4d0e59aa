package certs

import (
	"fmt"
	"net/netip"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// selfSignedLife is long enough for any standalone run: nothing renews it.
const selfSignedLife = 365 * 24 * time.Hour

// SelfSigned makes a pair for hosts (DNS names or addresses) in memory, of the
// kind that cert-manager would issue, signed by its own key.
func SelfSigned(hosts ...string) (*Pair, error) {
	request := &cmapi.Certificate{Spec: cmapi.CertificateSpec{
		CommonName: "bulkhead-webhook",
		Duration:   &metav1.Duration{Duration: selfSignedLife},
		Usages:     []cmapi.KeyUsage{cmapi.UsageDigitalSignature, cmapi.UsageServerAuth},
		PrivateKey: &cmapi.CertificatePrivateKey{Algorithm: cmapi.ECDSAKeyAlgorithm, Size: pki.ECCurve256},
	}}
	for _, host := range hosts {
		if _, err := netip.ParseAddr(host); err == nil {
			request.Spec.IPAddresses = append(request.Spec.IPAddresses, host)
		} else {
			request.Spec.DNSNames = append(request.Spec.DNSNames, host)
		}
	}
	certificate, key, err := selfSign(request)
	if err != nil {
		return nil, fmt.Errorf("self-sign a certificate for %q: %w", hosts, err)
	}
	source, err := dynamiccertificates.NewStaticCertKeyContent("self-signed", certificate, key)
	if err != nil {
		return nil, fmt.Errorf("self-sign a certificate for %q: %w", hosts, err)
	}
	return newPair(source)
}

// selfSign returns certificate and key, PEM encoded.
func selfSign(request *cmapi.Certificate) (certificate, key []byte, err error) {
	signer, err := pki.GeneratePrivateKeyForCertificate(request)
	if err != nil {
		return nil, nil, err
	}
	template, err := pki.CertificateTemplateFromCertificate(request)
	if err != nil {
		return nil, nil, err
	}
	if certificate, _, err = pki.SignCertificate(template, template, signer.Public(), signer); err != nil {
		return nil, nil, err
	}
	if key, err = pki.EncodePrivateKey(signer, cmapi.PKCS8); err != nil {
		return nil, nil, err
	}
	return certificate, key, nil
}
