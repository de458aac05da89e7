package concordgrpc

import (
	"encoding/json"
	"regexp"
)

const (
	// DefaultScheme is the scheme of the targets of a Resolver that names none.
	DefaultScheme = "concord"

	// DefaultServiceConfig spreads the calls of a client over all members in turn. Without it gRPC
	// sends all of them to the first.
	DefaultServiceConfig = `{"loadBalancingConfig":[{"round_robin":{}}]}`

	maxScheme = 64 // bytes
)

// scheme is what RFC 3986 allows, in lower case: gRPC finds no other.
var scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// ResolverOptions configure a [Resolver]. The zero value of every field means its default; nil means
// all defaults. NewResolver copies them.
type ResolverOptions struct {
	// Scheme is what targets begin with: a lower-case scheme of RFC 3986 with at most 64 bytes, default
	// [DefaultScheme]. It counts only in clients that are given the Resolver.
	Scheme string

	// ServiceConfig is the service config in JSON that clients get together with the addresses, default
	// [DefaultServiceConfig]. It names the balancer, and may have retries, timeouts and more for each
	// method. A client takes it in place of the one given to grpc.WithDefaultServiceConfig, unless it
	// was made with grpc.WithDisableServiceConfig.
	ServiceConfig string

	// NoServiceConfig leaves the service config to the client: that of grpc.WithDefaultServiceConfig, or
	// else gRPC's own, which sends all calls to one member.
	NoServiceConfig bool

	// Hooks observe the Resolver. nil logs what goes wrong to [log/slog.Default] (see [LogHooks]); an
	// empty Hooks is silent.
	Hooks *Hooks

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, and adds every problem with it.
func (o *ResolverOptions) withDefaults(p *problems) ResolverOptions {
	var opt ResolverOptions
	if o != nil {
		opt = *o
	}
	p.check(!opt.NoServiceConfig || opt.ServiceConfig == "", "ServiceConfig", "must be empty with NoServiceConfig")
	if opt.Scheme == "" {
		opt.Scheme = DefaultScheme
	}
	if opt.ServiceConfig == "" {
		opt.ServiceConfig = DefaultServiceConfig
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	opt.Hooks = JoinHooks(opt.Hooks)
	p.check(len(opt.Scheme) <= maxScheme && scheme.MatchString(opt.Scheme), "Scheme", "must be a scheme in lower case of at most %d bytes", maxScheme)
	p.check(json.Valid([]byte(opt.ServiceConfig)), "ServiceConfig", "must be JSON")
	return opt
}
