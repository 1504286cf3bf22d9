// Package serve serves policies and image models to other programs over gRPC. The
// schema is proto/stein/serve/v1/serve.proto.
//
//	clients ──▶ gRPC ──▶ queue ──▶ batch ──▶ agents.Oracle ──▶ XLA
//	                     one per policy            ▲
//	run folder ──▶ newer checkpoint ───────────────┘ between two batches
//
// Read policy.go first: it handles a request from arrival to answer. Package client is
// the client side.
package serve
