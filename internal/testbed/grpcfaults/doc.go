// Package grpcfaults has no code: its tests call gRPC servers that are found by package concordgrpc, while
// the Redis server that keeps their group is killed and started again, and while they are cut off from it.
package grpcfaults
