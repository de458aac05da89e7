// Package oteltest has no code: its tests run package concordotel with the SDK of OpenTelemetry, on
// which the library itself must not depend, and compare what is exported with the list in
// docs/operations.md.
package oteltest
