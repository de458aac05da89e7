// Package memberfaults has no code: its tests take package membership through faults of real processes
// and real servers. Members come by the thousand, are killed, paused and cut off; servers are killed,
// paused, emptied and replaced; watchers lose their connection.
//
// Each test is named after what it shows, proves that its fault has hit, and logs what it measured. Every
// watcher checks that each view follows from the one before and that nobody is shown twice. Upper bounds
// on time leave room for a busy machine.
package memberfaults
