package etcdbackend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concord-go/concord/lease"
)

// The client brings TLS with it; the backend does not notice. Without it, or when the server's
// certificate is not trusted, nothing is sent that could be read.
func TestTLS(t *testing.T) {
	cert, key, trusted := certificate(t)
	k := startCluster(t, 1, &tls.Config{RootCAs: trusted}, []string{"--cert-file", cert, "--key-file", key})
	be := openWith(t, connectWith(t, clientv3.Config{Endpoints: k.endpoints, TLS: &tls.Config{RootCAs: trusted}}), &Options{Strict: true})
	if err := be.Check(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	c := wish("k")
	acquire(t, be, c, lease.Granted)
	release(t, be, c, lease.WasHeld)
	for name, config := range map[string]*tls.Config{"plain": nil, "untrusted": {}} {
		be := openWith(t, connectWith(t, clientv3.Config{Endpoints: k.endpoints, TLS: config}), &Options{Logger: quiet()})
		if _, err := be.Leases().Acquire(within(t, time.Second), wish("k")); !errors.Is(err, lease.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// certificate makes a self-signed one for the loopback address.
func certificate(t *testing.T) (cert, key string, trusted *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // etcd connects to itself
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err = errors.Join(os.WriteFile(cert, text, 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	trusted = x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	return cert, key, trusted
}
