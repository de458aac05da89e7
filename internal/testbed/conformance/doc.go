// Package conformance has no code: its tests run the suites of backend/backendtest on engines of
// several nodes. A backend's own package runs them on one.
package conformance
