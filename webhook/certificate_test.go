package webhook

import (
	"testing"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
)

// clientCertificate returns a self-signed client certificate and its key as PEM.
func clientCertificate(t testing.TB, commonName string) (certificate, key []byte) {
	t.Helper()
	signer, err := pki.GenerateECPrivateKey(pki.ECCurve256)
	if err != nil {
		t.Fatal(err)
	}
	template, err := pki.CertificateTemplateFromCertificate(&cmapi.Certificate{Spec: cmapi.CertificateSpec{
		CommonName: commonName, Usages: []cmapi.KeyUsage{cmapi.UsageDigitalSignature, cmapi.UsageClientAuth},
	}})
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err = pki.SignCertificate(template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	key, err = pki.EncodePrivateKey(signer, cmapi.PKCS8)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}
