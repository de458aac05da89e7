package concordotel

import (
	"context"
	"slices"
	"sync"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/fence"
)

// maxLabels is how many labels one set of hooks tells apart.
const maxLabels = 100

// BreakerKeys is [Breaker] for a Group whose keys shall be told apart. label says what is exported of a
// key, as the attribute concord.breaker.key: the key itself where there are few, such as zones, or else
// what keys have in common. It is called for every event, by several goroutines, and must be quick.
//
// A label of more than 64 bytes, or of not only printable ASCII, is exported as "other", and so is every
// further one after a hundred different ones. That a Group is full is counted without a key.
//
// All problems are reported at once, each as a [*fence.InvalidError] or as the error of the
// MeterProvider.
func BreakerKeys(label func(key string) string, o *Options) (*breaker.Hooks, error) {
	m := o.instruments()
	if label == nil {
		m.errs = append(m.errs, &fence.InvalidError{Field: "label", Problem: "must not be nil"})
	}
	all := m.breakers()
	if err := m.err(); err != nil {
		return nil, err
	}
	all.labels = o.labels()
	k := &keyed{all: all, label: label, byLabel: map[string]*breakers{}}
	return &breaker.Hooks{
		Changed:   func(i breaker.Info) { k.of(i.Key).changed(i) },
		Rejected:  func(ctx context.Context, i breaker.Info) { k.of(i.Key).rejected(ctx, i) },
		Ended:     func(ctx context.Context, i breaker.Info) { k.of(i.Key).ended(ctx, i) },
		Untracked: all.untracked,
	}, nil
}

// keyed holds what measures each label.
type keyed struct {
	all   *breakers // without the attribute
	label func(key string) string

	mu      sync.RWMutex // guards what follows
	byLabel map[string]*breakers
}

// of returns what measures a key.
func (k *keyed) of(key string) *breakers {
	label := k.label(key)
	k.mu.RLock()
	b := k.byLabel[label]
	k.mu.RUnlock()
	if b != nil {
		return b
	}
	return k.put(label)
}

// put makes what measures a label, unless there is no place for it.
func (k *keyed) put(label string) *breakers {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !exportable(label) || len(k.byLabel) >= maxLabels && k.byLabel[label] == nil {
		label = other
	}
	if b := k.byLabel[label]; b != nil {
		return b
	}
	b := *k.all
	b.begin(append(slices.Clip(k.all.labels), keyKey.String(label)))
	k.byLabel[label] = &b
	return &b
}
