package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// layer says what a package is for.
type layer string

const (
	root        layer = "the root package"
	primitive   layer = "a primitive"
	backend     layer = "a backend"
	reports     layer = "the reports of backends"
	suite       layer = "the conformance suite"
	integration layer = "an integration"
	internal    layer = "an internal package"
	unknown     layer = "unknown"
)

var (
	primitives = strings.Fields("fence lease lock election membership ratelimit idempotency " +
		"retry breaker cache hashring bloom")
	integrations = strings.Fields("concordhttp concordgrpc concordotel breaker/gobreakerengine")

	// leaves are the primitives that depend on the standard library alone.
	leaves = strings.Fields("fence hashring retry breaker")

	// leaseUsers are the primitives built on the lease port.
	leaseUsers = strings.Fields("lock election membership")

	// testOnly are modules that no user of the library may get: test helpers, SQL drivers and the
	// OpenTelemetry SDK.
	testOnly = strings.Fields(`
		go.uber.org/goleak pgregory.net/rapid github.com/anishathalye/porcupine
		github.com/alicebob/miniredis github.com/stretchr/testify
		go.opentelemetry.io/otel/sdk
		github.com/lib/pq github.com/jackc/pgx github.com/go-sql-driver/mysql
		github.com/mattn/go-sqlite3 modernc.org/sqlite`)
)

const (
	suitePath   = "backend/backendtest"
	reportsPath = "backend/check"
)

// layerOf classifies a package and returns the package that owns it: itself, or the one in whose
// folder it lies.
func layerOf(rel string) (layer, string) {
	first, rest, nested := strings.Cut(rel, "/")
	second, _, _ := strings.Cut(rest, "/")
	switch {
	case rel == "":
		return root, ""
	case first == "internal":
		return internal, rel
	case within(rel, suitePath):
		return suite, suitePath
	case within(rel, reportsPath):
		return reports, reportsPath
	case first == "backend" && nested:
		return backend, first + "/" + second
	}
	for _, i := range integrations {
		if within(rel, i) {
			return integration, i
		}
	}
	if slices.Contains(primitives, first) && (!nested || second == "internal") {
		return primitive, first
	}
	return unknown, rel
}

// within reports whether path is the package, or lies in its folder.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// checkImports returns the imports of a package that break the rules of dependency.
func checkImports(p *pkg, standard func(string) bool) []string {
	var bad []string
	from, _ := rel(p.ImportPath)
	kind, owner := layerOf(from)
	if kind == unknown {
		bad = append(bad, fmt.Sprintf("%s: not known to be a primitive, a backend or an integration; add it to the rules", from))
	}
	for _, path := range p.Imports {
		because := ""
		to, ours := rel(path)
		switch {
		case ours:
			because = refuse(kind, owner, to)
		case within(path, "testing"):
			if kind != suite {
				because = "only the conformance suite may"
			}
		case slices.ContainsFunc(testOnly, func(m string) bool { return within(path, m) }):
			because = "only tests may"
		case slices.Contains(leaves, owner) && !standard(path):
			because = owner + " depends on the standard library alone"
		}
		if because != "" {
			bad = append(bad, fmt.Sprintf("%s imports %s: %s", from, path, because))
		}
	}
	return bad
}

// refuse returns why a package of the given layer and owner may not import the package of this
// module at path to, or "".
func refuse(kind layer, owner, to string) string {
	toKind, toOwner := layerOf(to)
	if toOwner == owner {
		return ""
	}
	switch kind {
	case root:
		return "the root package is documentation only"
	case primitive:
		switch {
		case toKind == internal:
			return ""
		case toKind != primitive:
			return fmt.Sprintf("a primitive does not import %s", toKind)
		case slices.Contains(leaves, owner):
			return owner + " depends on the standard library alone"
		case to == "fence", to == "lease" && slices.Contains(leaseUsers, owner):
			return ""
		}
		return "primitives do not import each other"
	case backend, reports, integration, suite, internal:
		if toKind == primitive || toKind == internal || kind == backend && toKind == reports {
			return ""
		}
		return fmt.Sprintf("%s does not import %s", kind, toKind)
	}
	return ""
}

func TestImports(t *testing.T) {
	m := load(t)
	for _, p := range m.own {
		report(t, checkImports(p, func(path string) bool { return m.standard[path] }))
	}
}

// TestLeaves checks that the leaves do not get another module by way of an internal package.
func TestLeaves(t *testing.T) {
	m := load(t)
	for _, p := range m.own {
		if path, _ := rel(p.ImportPath); slices.Contains(leaves, path) {
			for _, dep := range p.Deps {
				if _, ours := rel(dep); !ours && !m.standard[dep] {
					t.Errorf("%s depends on %s", path, dep)
				}
			}
		}
	}
}

func TestImportRule(t *testing.T) {
	standard := func(path string) bool { return !strings.Contains(path, ".") }
	ok := []string{
		": context",
		"lock: context fmt concord/fence concord/lease concord/internal/claim golang.org/x/sync/semaphore",
		"election: concord/fence concord/lease",
		"membership: concord/lease",
		"ratelimit: concord/fence concord/internal/workers",
		"fence: errors concord/internal/clock",
		"hashring: math/bits",
		"lock/internal/queue: concord/lease",
		"lock: concord/lock/internal/queue",
		"backend/redisbackend: concord/lease concord/fence concord/internal/keys github.com/redis/go-redis/v9",
		"backend/redisbackend: concord/backend/redisbackend/internal/script",
		"backend/backendtest: testing testing/synctest concord/lease",
		"backend/redisbackend: concord/backend/check",
		"backend/check: log/slog concord/lease",
		"concordhttp: net/http concord/ratelimit",
		"breaker/gobreakerengine: concord/breaker github.com/sony/gobreaker/v2",
		"internal/claim: concord/lease",
	}
	for _, line := range ok {
		report(t, checkImports(fixturePkg(line), standard))
	}
	bad := []string{
		": concord/lock",
		"lock: concord/backend/memorybackend",
		"lock: concord/backend/backendtest",
		"lock: concord/concordotel",
		"lock: concord/election",
		"lock: concord",
		"cache: concord/lease",
		"breaker: concord/fence",
		"breaker: concord/breaker/gobreakerengine",
		"retry: golang.org/x/time/rate",
		"backend/redisbackend: concord/backend/memorybackend",
		"backend/redisbackend/internal/script: concord/backend/memorybackend",
		"backend/memorybackend: concord/backend/backendtest",
		"backend/backendtest: concord/backend/memorybackend",
		"backend/check: concord/backend/redisbackend",
		"backend/backendtest: concord/backend/check",
		"lock: concord/backend/check",
		"concordhttp: concord/backend/redisbackend",
		"concordhttp: concord/concordotel",
		"internal/claim: concord/backend/memorybackend",
		"lock: testing",
		"internal/faultnet: testing/iotest",
		"lock: go.uber.org/goleak",
		"backend/backendtest: pgregory.net/rapid",
		"concordotel: go.opentelemetry.io/otel/sdk/trace",
		"backend/sqlbackend: github.com/jackc/pgx/v5",
		"util: strings",
		"lock/helpers: strings",
	}
	for _, line := range bad {
		if got := checkImports(fixturePkg(line), standard); len(got) != 1 {
			t.Errorf("%q: %d violations %q, want one", line, len(got), got)
		}
	}
}

// fixturePkg makes a package from a line "path: import import…", where concord is this module.
func fixturePkg(line string) *pkg {
	path, imports, _ := strings.Cut(line, ":")
	p := &pkg{ImportPath: strings.TrimSuffix(modulePath+"/"+path, "/")}
	for _, i := range strings.Fields(imports) {
		if i == "concord" || strings.HasPrefix(i, "concord/") {
			i = modulePath + strings.TrimPrefix(i, "concord")
		}
		p.Imports = append(p.Imports, i)
	}
	return p
}
