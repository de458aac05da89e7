// Package lockfaults has no code: its tests take package lock through faults of real processes and
// real servers. Histories of many clients are checked against a model of a fenced lock; holders
// are killed and paused; servers are killed, restarted, hung and emptied; connections lose answers.
//
// Each test is named after what it shows, proves that its fault has hit, and logs what it
// measured. Lower bounds on time are exact; upper bounds leave room for a busy machine.
package lockfaults
