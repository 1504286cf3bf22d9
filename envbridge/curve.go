package envbridge

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	zmq "github.com/pebbe/zmq4"
)

const keyHeading = "stein curve key v1"

// A Key is the file of ZeroMQ CURVE keys of one side, 40 characters of Z85 each. With
// keys, workers and trainers authenticate each other over a network.
type Key struct {
	Role           string // server: the worker; client: the trainer
	Public, Secret string
	Peer           string // the public key of the other side
}

// GenerateKeys writes server.key and client.key to dir, readable only by their owner. It
// does not overwrite files.
func GenerateKeys(dir string) (server, client string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("envbridge: keys: %w", err)
	}
	serverKey, err := NewKey("server")
	if err != nil {
		return "", "", err
	}
	clientKey, err := NewKey("client")
	if err != nil {
		return "", "", err
	}
	serverKey.Peer, clientKey.Peer = clientKey.Public, serverKey.Public

	server, client = filepath.Join(dir, "server.key"), filepath.Join(dir, "client.key")
	if err := serverKey.write(server); err != nil {
		return "", "", err
	}
	if err := clientKey.write(client); err != nil {
		_ = os.Remove(server)
		return "", "", err
	}
	return server, client, nil
}

// NewKey makes a key pair in memory. The caller sets Peer.
func NewKey(role string) (k Key, err error) {
	k.Role = role
	if k.Public, k.Secret, err = zmq.NewCurveKeypair(); err != nil {
		return k, fmt.Errorf("envbridge: keys: %w (is libzmq built with CURVE?)", err)
	}
	return k, nil
}

func (k Key) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("envbridge: keys: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s\nrole %s\npublic %s\nsecret %s\npeer %s\n", keyHeading, k.Role, k.Public, k.Secret, k.Peer)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("envbridge: keys: writing %s: %w", path, err)
	}
	return nil
}

// LoadKey reads the client's key file. It rejects a file that others may read.
func LoadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("envbridge: key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("envbridge: key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("envbridge: key file %s: mode %04o lets others read it; chmod 600 %s", path, mode, path)
	}

	lines := bufio.NewScanner(f)
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != keyHeading {
		return nil, fmt.Errorf("envbridge: key file %s: doesn't start with %q", path, keyHeading)
	}
	var k Key
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch name {
		case "role":
			k.Role = value
		case "public":
			k.Public = value
		case "secret":
			k.Secret = value
		case "peer":
			k.Peer = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("envbridge: key file %s: %w", path, err)
	}
	if k.Role != "client" {
		return nil, fmt.Errorf("envbridge: key file %s: this is the %q key, want the %q key", path, k.Role, "client")
	}
	for name, v := range map[string]string{"public": k.Public, "secret": k.Secret, "peer": k.Peer} {
		if len(v) != 40 {
			return nil, fmt.Errorf("envbridge: key file %s: %s key has %d characters, want 40", path, name, len(v))
		}
	}
	return &k, nil
}

// apply configures a client's socket to use the key.
func (k *Key) apply(sock *zmq.Socket) error {
	return errors.Join(
		sock.SetCurveServerkey(k.Peer),
		sock.SetCurvePublickey(k.Public),
		sock.SetCurveSecretkey(k.Secret),
	)
}

// checkEndpoint rejects endpoints that are not TCP, and networks without keys.
func checkEndpoint(endpoint string, key *Key) error {
	rest, ok := strings.CutPrefix(endpoint, "tcp://")
	if !ok {
		return fmt.Errorf("envbridge: workers at %q: want tcp://host:port", endpoint)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("envbridge: workers at %q: want tcp://host:port", endpoint)
	}
	if key == nil && !isLoopback(host) {
		return fmt.Errorf("envbridge: workers at %s: remote workers need keys: make them with `stein keys`, start the worker with --key server.key and use client.key here", endpoint)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
