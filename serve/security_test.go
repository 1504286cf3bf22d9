package serve_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/serve"
	"github.com/stein-rl/stein/serve/client"
)

// An authority signs certificates in a folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file, _ = a.sign(t, name, a.cert)
	return a
}

// sign writes NAME.pem and NAME.key. An authority without a key signs itself.
func (a *authority) sign(t *testing.T, name string, template *x509.Certificate) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func (a *authority) leaf(t *testing.T, name string) (cert, key string) {
	return a.sign(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// Ensure that only clients with the required certificate and token are answered, and
// that health checks need no token.
func TestTLSAndToken(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	r := newRun(t, "pendulum/sac", small...)
	r.save(t, 1, r.learner(t, 1))
	c := config(t, r)
	c.Limits.Batch = 1
	cert, key := ours.leaf(t, "server")
	c.Security = serve.Security{Cert: cert, Key: key, ClientCA: ours.file, Token: "secret"}
	address := start(t, c)
	mine, mineKey := ours.leaf(t, "client")
	other, otherKey := theirs.leaf(t, "client")
	obs := make([]float32, obsDim)
	for name, x := range map[string]struct {
		client.Options
		code codes.Code
	}{
		"all":                {client.Options{CA: ours.file, Cert: mine, Key: mineKey, Token: "secret"}, codes.OK},
		"no token":           {client.Options{CA: ours.file, Cert: mine, Key: mineKey}, codes.Unauthenticated},
		"another token":      {client.Options{CA: ours.file, Cert: mine, Key: mineKey, Token: "secreT"}, codes.Unauthenticated},
		"no certificate":     {client.Options{CA: ours.file, Token: "secret"}, codes.Unavailable},
		"a stranger's":       {client.Options{CA: ours.file, Cert: other, Key: otherKey, Token: "secret"}, codes.Unavailable},
		"another authority":  {client.Options{CA: theirs.file, Cert: mine, Key: mineKey, Token: "secret"}, codes.Unavailable},
		"plaintext to TLS":   {client.Options{Token: "secret"}, codes.Unavailable},
		"system authorities": {client.Options{TLS: true, Cert: mine, Key: mineKey, Token: "secret"}, codes.Unavailable},
	} {
		cl := dial(t, address, x.Options)
		if _, err := cl.Act(t.Context(), obs, client.Ask{}); status.Code(err) != x.code {
			t.Errorf("%s: %v, want %v", name, err, x.code)
		}
		stream, err := cl.Stream(t.Context())
		if err == nil {
			_, err = stream.Act(obs, client.Ask{})
			stream.Close()
		}
		if status.Code(err) != x.code {
			t.Errorf("%s, stream: %v, want %v", name, err, x.code)
		}
	}
}

func TestTokenAndHealth(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	r.save(t, 1, r.learner(t, 1))
	c := config(t, r)
	c.Limits.Batch = 1
	c.Security.Token = "secret"
	address := start(t, c)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health without the token: %v", err)
	}
	if _, err := dial(t, address, client.Options{}).Specs(t.Context(), ""); status.Code(err) != codes.Unauthenticated {
		t.Errorf("spec without the token: %v", err)
	}
	if _, err := dial(t, address, client.Options{Token: "secret"}).Specs(t.Context(), ""); err != nil {
		t.Errorf("spec with the token: %v", err)
	}
	if _, err := client.Dial("192.0.2.1:50051", client.Options{Token: "secret"}); err == nil || !strings.Contains(err.Error(), "plaintext") {
		t.Errorf("a token in plaintext to another machine: %v", err)
	}
}

// Ensure that settings that would expose a policy by accident are errors.
func TestExposure(t *testing.T) {
	for address, refused := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "0.0.0.0:1": true, "[::]:1": true, "192.0.2.1:1": true} {
		at, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := (serve.Security{}).Allow(at); (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
		if err := (serve.Security{Insecure: true}).Allow(at); err != nil {
			t.Errorf("%s, told to: %v", address, err)
		}
		if err := (serve.Security{Cert: "c", Key: "k"}).Allow(at); err != nil {
			t.Errorf("%s, TLS: %v", address, err)
		}
	}
	r := newRun(t, "pendulum/sac", small...)
	r.save(t, 1, r.learner(t, 1))
	for want, s := range map[string]serve.Security{
		"TLS needs a certificate and its key":    {Cert: "only.pem"},
		"so does checking clients' certificates": {ClientCA: "ca.pem"},
		"certificate no.pem with key no.key":     {Cert: "no.pem", Key: "no.key"},
	} {
		c := config(t, r)
		c.Security = s
		if _, err := serve.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", s, err, want)
		}
	}
}
