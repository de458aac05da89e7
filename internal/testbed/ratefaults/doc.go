// Package ratefaults has no code: its tests take package ratelimit through faults of real processes and
// real servers. Several processes with many goroutines call for one hot key; servers are killed, paused,
// replaced and lose their scripts, connections lose replies, and a process dies with units that it had
// taken ahead.
//
// Every decision is noted with the time before and after the call, on the one clock of the machine. A
// unit counts in a time if its call began and ended within: so a test never blames a limit for what was
// let through a moment earlier or later. Rates have a tenth of room for a busy machine, bounds have none.
package ratefaults
