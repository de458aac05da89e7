package concordhttp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
)

func TestTrustAddresses(t *testing.T) {
	trust := concordhttp.TrustAddresses(netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.Prefix{})
	for addr, want := range map[string]bool{
		"10.1.2.3:4000":          true,
		"[::ffff:10.1.2.3]:4000": true,
		"[fd00::1]:4000":         true,
		"10.2.0.1:4000":          false,
		"[fe80::1%eth0]:4000":    false,
		"10.1.2.3":               false,
		"@":                      false,
		"":                       false,
		"10.1.2.3:4000, 1.1.1.1": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = addr
		if got := trust(r); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "192.0.2.1:4000"
	for _, h := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip"} {
		r.Header.Set(h, "10.1.2.3")
	}
	if trust(r) {
		t.Error("a header was believed")
	}
	r.RemoteAddr = "127.0.0.1:4000"
	if concordhttp.TrustAddresses()(r) || concordhttp.TrustNames()(r) {
		t.Error("nobody is everybody")
	}
}

// authority signs certificates of servers and clients.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template, nil)
	a.pool.AddCert(a.cert)
	return a
}

// sign makes a certificate and its key; parent nil means by itself.
func (a *authority) sign(template, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) client(commonName, dns, uri string) tls.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if dns != "" {
		template.DNSNames = []string{dns}
	}
	if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	cert, key := a.sign(template, a.cert)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func TestTrustNames(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	f := newFence(t, newMarks(), concordhttp.TrustNames("worker.internal", "spiffe://prod/worker"), nil)
	for _, tt := range []struct {
		what   string
		auth   tls.ClientAuthType
		certs  []tls.Certificate
		status int
	}{
		{"DNS name", tls.VerifyClientCertIfGiven, []tls.Certificate{ours.client("x", "worker.internal", "")}, http.StatusNoContent},
		{"URI", tls.RequireAndVerifyClientCert, []tls.Certificate{ours.client("x", "", "spiffe://prod/worker")}, http.StatusNoContent},
		{"another name", tls.VerifyClientCertIfGiven, []tls.Certificate{ours.client("x", "web.internal", "spiffe://prod/web")}, http.StatusForbidden},
		{"common name", tls.VerifyClientCertIfGiven, []tls.Certificate{ours.client("worker.internal", "", "")}, http.StatusForbidden},
		{"wildcard", tls.VerifyClientCertIfGiven, []tls.Certificate{ours.client("x", "*.internal", "")}, http.StatusForbidden},
		{"no certificate", tls.VerifyClientCertIfGiven, nil, http.StatusForbidden},
		{"not verified", tls.RequireAnyClientCert, []tls.Certificate{others.client("x", "worker.internal", "")}, http.StatusForbidden},
		{"not asked for", tls.NoClientCert, []tls.Certificate{ours.client("x", "worker.internal", "")}, http.StatusForbidden},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := httptest.NewUnstartedServer(f.Handler(http.HandlerFunc(done)))
			s.TLS = &tls.Config{ClientAuth: tt.auth, ClientCAs: ours.pool, MinVersion: tls.VersionTLS12}
			s.StartTLS()
			defer s.Close()
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			base := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: tt.certs, MinVersion: tls.VersionTLS12}}
			defer base.CloseIdleConnections()
			tr, err := concordhttp.NewTransport(base, s.URL)
			if err != nil {
				t.Fatal(err)
			}
			send(t, &http.Client{Transport: tr}, s.URL+"/r/r", "r", 33, tt.status)
		})
	}
}

// What a stranger sends changes nothing, whatever it looks like.
func TestStrangerCannotRaise(t *testing.T) {
	m := newMarks()
	s := serve(t, newFence(t, m, nobody, nil), never(t))
	for _, token := range []string{"1", "9223372036854775807", "0", "x"} {
		h := http.Header{concordhttp.HeaderToken: {token}, concordhttp.HeaderResource: {"r"}, "X-Forwarded-For": {"127.0.0.1"}}
		raw(t, s.URL+"/r/r", h, http.StatusForbidden)
	}
	if err := concordhttp.Raise(t.Context(), newClient(t, s.URL), s.URL+"/fence", "r", 33); err == nil {
		t.Error("raised")
	}
	if mark, _ := m.Mark(t.Context(), "r"); mark != fence.Token(0) {
		t.Errorf("mark %v", mark)
	}
}
