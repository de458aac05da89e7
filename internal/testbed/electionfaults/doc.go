// Package electionfaults has no code: its tests take package election through faults of real processes
// and real servers. Leaders are killed, paused and cut off; servers are killed, paused, restarted and
// replaced; observers lose their connection.
//
// Leaders witness their own terms: see chronicle. Each test is named after what it shows, proves that
// its fault has hit, and logs what it measured. Upper bounds on time leave room for a busy machine.
package electionfaults
