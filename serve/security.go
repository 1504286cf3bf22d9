package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Security configures encryption and authentication. The zero value is plaintext,
// without authentication, on loopback addresses only.
type Security struct {
	Cert, Key string // PEM files: the server's certificate with its chain, and its key
	ClientCA  string // PEM file: clients must present a certificate signed by one of these
	Token     string // clients must send "authorization: Bearer TOKEN"
	Insecure  bool   // allow plaintext on addresses that other machines can reach
}

// LoadToken reads a token from a file of one line.
func LoadToken(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("serve: token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("serve: token: %s: want one word on one line", path)
	}
	return token, nil
}

// Allow rejects plaintext on an address that other machines can reach.
func (s Security) Allow(at net.Addr) error {
	if s.Cert != "" || s.Insecure {
		return nil
	}
	if tcp, ok := at.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return fmt.Errorf("serve: %s can be reached from other machines, and without TLS anyone on the network can read and change the traffic: set a certificate and its key, listen on 127.0.0.1, or allow plaintext", at)
	}
	return nil
}

func (s Security) options() ([]grpc.ServerOption, error) {
	var all []grpc.ServerOption
	if (s.Cert == "") != (s.Key == "") || s.ClientCA != "" && s.Cert == "" {
		return nil, errors.New("serve: TLS needs a certificate and its key; so does checking clients' certificates")
	}
	if s.Cert != "" {
		config, err := s.tls()
		if err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
		all = append(all, grpc.Creds(credentials.NewTLS(config)))
	}
	if s.Token != "" {
		want := sha256.Sum256([]byte("Bearer " + s.Token))
		all = append(all,
			grpc.UnaryInterceptor(func(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				if err := authorize(ctx, info.FullMethod, want); err != nil {
					return nil, err
				}
				return next(ctx, r)
			}),
			grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				if err := authorize(stream.Context(), info.FullMethod, want); err != nil {
					return err
				}
				return next(server, stream)
			}))
	}
	return all, nil
}

func (s Security) tls() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(s.Cert, s.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", s.Cert, s.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	if s.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(s.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("clients' authority: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("clients' authority: no certificate in %s", s.ClientCA)
	}
	return config, nil
}

// authorize requires the token, except for health checks: a supervisor that restarts a
// hung server should not need secrets.
func authorize(ctx context.Context, method string, want [sha256.Size]byte) error {
	if strings.HasPrefix(method, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, got := range md.Get("authorization") {
		sum := sha256.Sum256([]byte(got))
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			return nil
		}
	}
	return status.Error(codes.Unauthenticated, "want metadata authorization: Bearer TOKEN, with this server's token")
}
