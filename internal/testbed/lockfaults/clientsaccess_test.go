package lockfaults

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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	report "github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/backend/redisbackend"
	"github.com/concord-go/concord/internal/testbed"
	"github.com/concord-go/concord/internal/testbed/recommended"
	"github.com/concord-go/concord/lock"
)

// documented returns the ACL commands of docs/security.md, for the prefix of the tests: those of a
// server, of a node of a cluster, and of a Sentinel.
func documented(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	within := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "    ACL SETUSER "):
			lines, within = append(lines, line), true
		case within && strings.HasPrefix(line, "        "):
			lines[len(lines)-1] += line
		default:
			within = false
		}
	}
	if len(lines) != 3 {
		t.Fatalf("docs/security.md has %d ACL commands", len(lines))
	}
	for i := range lines {
		lines[i] = strings.NewReplacer("shop", "concord", ">…", ">secret").Replace(lines[i])
	}
	return lines
}

// permit makes the user on all servers and returns its name.
func permit(t *testing.T, line string, servers []*testbed.Redis) (user string) {
	t.Helper()
	args := strings.Fields(line)
	for _, r := range servers {
		if _, err := r.Command(args...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, r := range servers {
			if refused, err := r.Command("ACL", "LOG"); err != nil || refused != "" {
				t.Errorf("%s has refused: %s, %v", r.Addr(), refused, err)
			}
		}
	})
	return args[2]
}

// rehearse does all that a program can do with locks.
func rehearse(t *testing.T, be *redisbackend.Backend) {
	ctx := soon(t)
	found, err := be.Diagnose(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found.Findings {
		if f.Level != report.LevelOK && f.Subject != "persistence" && f.Subject != "role" {
			t.Errorf("check: %v", f)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	p := &process{be: be}
	p.locks, err = lock.New(be.Leases(), p.counting(&lock.Options{TTL: time.Second}))
	must(err)
	second, err := lock.New(be.Leases(), p.counting(nil))
	must(err)
	rw, err := lock.NewRW(be.Leases(), nil)
	must(err)
	permits, err := lock.NewSemaphore(be.Leases(), 3, nil)
	must(err)
	ends(t, func(ctx context.Context) error {
		return errors.Join(p.locks.Close(ctx), second.Close(ctx), rw.Close(ctx), permits.Close(ctx))
	})

	l := p.acquire(t, "k")
	wait(t, "a renewal", func() bool { return p.renewed.Load() > 0 })
	waiting := (&process{locks: second}).later(t, "k")
	if _, err := second.TryAcquire(ctx, "k"); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("try: %v", err)
	}
	release(t, l)
	next := await(t, waiting)
	must(second.Revoke(ctx, "k", next.Token(), nil))
	if err := next.Release(ctx); !errors.Is(err, lock.ErrNotHeld) {
		t.Errorf("release after a revocation: %v", err)
	}

	r, err := rw.AcquireRead(ctx, "rw")
	must(err)
	must(r.Release(ctx))
	w, err := rw.AcquireWrite(ctx, "rw")
	must(err)
	share, err := w.Downgrade(ctx)
	must(err)
	must(share.Release(ctx))
	s, err := permits.Acquire(ctx, "permits", 2)
	must(err)
	must(s.Release(ctx))

	g, err := p.locks.AcquireAll(ctx, "k", "k1", "k2", "k3", "k4")
	must(err)
	must(g.Release(ctx))
	must(be.Fences().Raise(ctx, "data", 7))
	if mark, err := be.Fences().Mark(ctx, "data"); mark != 7 || err != nil {
		t.Errorf("mark %v, %v", mark, err)
	}
}

func TestDocumentedPermissions(t *testing.T) {
	lines := documented(t)
	t.Run("single server", func(t *testing.T) {
		server := testbed.StartRedis(t, nil)
		o := recommended.Redis(server.Addr())
		o.Username, o.Password = permit(t, lines[0], []*testbed.Redis{server}), "secret"
		client := redis.NewClient(o)
		be := newBackend(t, client, 0)
		ends(t, func(ctx context.Context) error { return errors.Join(be.Close(ctx), client.Close()) })
		rehearse(t, be)
	})
	t.Run("sentinel", func(t *testing.T) {
		s := startSentinel(t, nil)
		o := recommended.Sentinel(s.Addrs(), s.MasterName())
		o.Username, o.Password = permit(t, lines[0]+" +wait", s.Nodes()), "secret"
		o.SentinelUsername, o.SentinelPassword = permit(t, lines[2], s.Sentinels()), "secret"
		client := redis.NewFailoverClient(o)
		be := newBackend(t, client, 1)
		ends(t, func(ctx context.Context) error { return errors.Join(be.Close(ctx), client.Close()) })
		rehearse(t, be)
	})
	t.Run("cluster", func(t *testing.T) {
		c := startCluster(t, &testbed.ClusterOptions{NoReplicas: true})
		o := recommended.Cluster(c.Addrs())
		o.Username, o.Password = permit(t, lines[1], c.Nodes()), "secret"
		client := redis.NewClusterClient(o)
		be := newBackend(t, client, 0)
		ends(t, func(ctx context.Context) error { return errors.Join(be.Close(ctx), client.Close()) })
		rehearse(t, be)

		// Also while a slot moves: then the library asks elsewhere.
		p := &process{be: be}
		locks, err := lock.New(be.Leases(), p.counting(&lock.Options{TTL: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		ends(t, locks.Close)
		p.locks = locks
		key := keysOn(t, c, c.Nodes()[0], 1)[0]
		l := p.acquire(t, keysOfBucket(key, 1)[0])
		m := halfMoved(t, c, key, c.Nodes()[1])
		p.renewed.Store(0)
		wait(t, "a renewal", func() bool { return p.renewed.Load() > 0 })
		if refusals(t, c, "ASK") == 0 {
			t.Error("the library was never told to ask elsewhere")
		}
		if err := m.Finish(soon(t), 10); err != nil {
			t.Fatal(err)
		}
		release(t, l)
	})
}

// certificate makes a certificate for this machine that signs itself, and returns its files.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return certFile, keyFile, pool
}

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t)
	server := testbed.StartRedis(t, nil)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = server.Command("CONFIG", "SET", "tls-cert-file", certFile, "tls-key-file", keyFile, "tls-ca-cert-file", certFile,
		"tls-auth-clients", "no", "tls-port", strconv.Itoa(port))
	if err != nil && strings.Contains(err.Error(), "Unknown option") {
		t.Skip("needs a redis-server with TLS")
	}
	if err != nil {
		t.Fatal(err)
	}
	connected := func(roots *x509.CertPool) *process {
		o := recommended.Redis(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		o.TLSConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		return newProcessWith(t, o, &lock.Options{TTL: 3 * time.Second})
	}
	p := connected(pool)
	l := p.acquire(t, "k")
	next := connected(pool).later(t, "k")
	wait(t, "a renewal", func() bool { return p.renewed.Load() > 0 })
	release(t, l)
	release(t, await(t, next).Lease)

	greetings := number(t, server, "commandstats", "cmdstat_hello")
	_, err = connected(x509.NewCertPool()).locks.TryAcquire(t.Context(), "k")
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("without trust: %v", err)
	}
	if greetings == "" || number(t, server, "commandstats", "cmdstat_hello") != greetings {
		t.Error("something was sent to a server without trust")
	}
	t.Logf("without trust: %v", err)
}
