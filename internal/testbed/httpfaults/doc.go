// Package httpfaults has no code: its tests take a fence of package concordhttp, whose marks are on a
// real server, through restarts and outages of that server and of the HTTP server.
package httpfaults
