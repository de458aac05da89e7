// Package api exports one of everything.
package api

import (
	"context"
	"io"
	"time"
)

const (
	// Red and the others are colours.
	Red Colour = iota
	Green
	hidden
	Plain = "text"
	Next
)

var (
	ErrGone       = io.EOF
	Default       time.Duration
	lower, Higher int
)

type Colour uint8

func (c Colour) String() string { return "" }

type Options struct {
	TTL      time.Duration
	A, B     int
	OnChange func(ctx context.Context, from, to Colour) error
	secret   int
	io.Writer
	*Colour
}

type Port interface {
	io.Closer
	Take(ctx context.Context, key string, n int) (left int64, err error)
	Each(func(string) bool)
}

type sealed interface{ Do() }

type Sealed interface {
	Do()
	private()
}

type Func func(key string) (n int, err error)

type Alias = map[string][]byte

type Cache[K comparable, V any] struct{}

func (c *Cache[K, V]) Get(key K, load ...func(K) V) (V, bool) { var v V; return v, false }

func (c *Cache[K, V]) drop() {}

func New[K comparable, V any](ctx context.Context, opts *Options) (*Cache[K, V], error) {
	return nil, nil
}

type inner struct{}

func (inner) Exported() {}

func helper() {}
