// Package client asks a server of policies (stein serve) for actions.
//
//	c, err := client.Dial("127.0.0.1:50051", client.Options{})
//	answer, err := c.Act(ctx, obs, client.Ask{Deterministic: true})
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/stein-rl/stein/serve/servepb"
)

// Options say how to reach a server. The zero value is plaintext without a token.
type Options struct {
	TLS       bool   // encrypt, and check the server's certificate
	CA        string // PEM file of who signed it; empty: the system's authorities
	Cert, Key string // PEM files of one's own certificate, for a server that asks for one
	Token     string // bearer token; without TLS to this machine only, unless Insecure
	Insecure  bool   // send the token in plaintext all the same
}

// windowBytes of a stream or a connection may be on their way: what gRPC begins with.
const windowBytes = 1 << 16

// A Client is a connection to a server. Many goroutines may use it at a time.
type Client struct {
	conn     *grpc.ClientConn
	policies servepb.PoliciesClient
	energies servepb.EnergiesClient
}

// Dial prepares a connection; it is made when it is first needed, and again whenever
// it was lost.
func Dial(address string, o Options) (*Client, error) {
	transport := insecure.NewCredentials()
	if o.TLS || o.CA != "" || o.Cert != "" {
		config, err := o.tls()
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		transport = credentials.NewTLS(config)
	}
	plain := transport.Info().SecurityProtocol == "insecure"
	if plain && o.Token != "" && !o.Insecure && !loopback(address) {
		return nil, fmt.Errorf("client: %s: refusing to send the token in plaintext: use TLS", address)
	}
	// Messages are small. Windows that adapt cost a ping and its answer for almost each.
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport), grpc.WithStaticStreamWindowSize(windowBytes), grpc.WithStaticConnWindowSize(windowBytes),
	}
	if o.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(o.Token)))
	}
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("client: %s: %w", address, err)
	}
	return &Client{conn, servepb.NewPoliciesClient(conn), servepb.NewEnergiesClient(conn)}, nil
}

// Health says nil where the server says that it serves.
func (c *Client) Health(ctx context.Context) error {
	answer, err := healthpb.NewHealthClient(c.conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("client: health: %w", err)
	}
	if answer.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("client: health: the server says %s", answer.Status)
	}
	return nil
}

func (o Options) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", o.CA)
		}
	}
	if o.Cert != "" {
		cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// loopback says whether an address is one of this machine.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.HasPrefix(address, "unix:")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bearer sends a token with every call. A server on the same machine may be plaintext.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// An Ask says how actions are chosen.
type Ask struct {
	Policy        string // empty: the server's first
	Deterministic bool   // the best actions in place of draws
	Seed          *uint64
}

// An Answer is what came back for n observations.
type Answer struct {
	Actions   []float32 // in [−1, 1], [n*A]
	LogProbs  []float32 // [n]; empty for deterministic actions
	Entropies []float32 // nats, [n]; empty where the agent draws nothing
	QValues   []float32 // [n]; empty for a policy exported without its critics
	Step      int64     // environment steps of the checkpoint that answered
}

// Act asks for actions to obs [n*S], raw as the environment gives them. Errors have a
// gRPC status (status.Code).
func (c *Client) Act(ctx context.Context, obs []float32, a Ask) (Answer, error) {
	r, err := c.policies.Act(ctx, a.request(obs))
	if err != nil {
		return Answer{}, fmt.Errorf("client: %w", err)
	}
	return answer(r), nil
}

func (a Ask) request(obs []float32) *servepb.ActRequest {
	return &servepb.ActRequest{Policy: a.Policy, Observations: obs, Deterministic: a.Deterministic, Seed: a.Seed}
}

func answer(r *servepb.ActResponse) Answer {
	return Answer{r.Actions, r.LogProbs, r.Entropies, r.QValues, r.Step}
}

// Specs says which policies the server has; a name asks about that one.
func (c *Client) Specs(ctx context.Context, policy string) ([]*servepb.PolicySpec, error) {
	r, err := c.policies.Spec(ctx, &servepb.SpecRequest{Policy: policy})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return r.Policies, nil
}

// Scale scales actions in [-1, 1], row after row, to the bounds of the environment's.
func Scale(actions []float32, spec *servepb.PolicySpec) ([]float64, error) {
	low, high := spec.ActLow, spec.ActHigh
	if len(low) == 0 || len(low) != len(high) || len(actions)%len(low) != 0 {
		return nil, fmt.Errorf("client: %d numbers of actions for the %d lower and %d upper bounds of policy %s: without bounds, take those of the environment", len(actions), len(low), len(high), spec.Name)
	}
	scaled := make([]float64, len(actions))
	for i, a := range actions {
		l, h := low[i%len(low)], high[i%len(low)]
		scaled[i] = min(max(l+(float64(a)+1)/2*(h-l), l), h)
	}
	return scaled, nil
}

// Images are what is scored: Pixels of the model's own size as bytes, [n, H, W, C], and
// then PNG or JPEG Files, which the server brings to that size.
type Images struct {
	Pixels []byte
	Files  [][]byte
}

// Score asks an image model for f of each image, the larger the more like those of the
// training set, and gives the updates of the checkpoint that answered. An empty name is
// the server's first model.
func (c *Client) Score(ctx context.Context, m Images, model string) (f []float64, update int64, err error) {
	r, err := c.energies.Score(ctx, &servepb.ScoreRequest{Model: model, Pixels: m.Pixels, Files: m.Files})
	if err != nil {
		return nil, 0, fmt.Errorf("client: %w", err)
	}
	return r.Energies, r.Update, nil
}

// Models says which image models the server has; a name asks about that one.
func (c *Client) Models(ctx context.Context, model string) ([]*servepb.ModelSpec, error) {
	r, err := c.energies.Models(ctx, &servepb.ModelsRequest{Model: model})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return r.Models, nil
}

// A Stream is a control loop's connection: less work for each question than Act. One
// goroutine uses it at a time.
type Stream struct {
	stream servepb.Policies_StreamClient
	cancel context.CancelFunc
}

// Stream opens one, which ends with ctx at the latest.
func (c *Client) Stream(ctx context.Context) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.policies.Stream(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Stream{s, cancel}, nil
}

// Act asks and waits for the answer. After an error the stream is of no more use.
func (s *Stream) Act(obs []float32, a Ask) (Answer, error) {
	sent := s.stream.Send(a.request(obs))
	r, err := s.stream.Recv() // says why, where sending has failed
	if err != nil {
		return Answer{}, fmt.Errorf("client: %w", errors.Join(err, sent))
	}
	return answer(r), nil
}

// Close ends the stream.
func (s *Stream) Close() error {
	err := s.stream.CloseSend()
	s.cancel()
	return err
}
