// Package serve answers other programs' questions for actions over gRPC, by the
// schema in proto/stein/serve/v1/serve.proto.
//
//	clients ──▶ gRPC ──▶ queue ──▶ batch ──▶ agents.Oracle ──▶ XLA
//	                     one for each policy       ▲
//	run folder ──▶ newer checkpoint ───────────────┘ between two batches
//
// Read policy.go first: it is the way of a request. Package client is the other end.
package serve
