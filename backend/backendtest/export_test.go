package backendtest

import "time"

// SetPatience shortens the time that the suite waits for a backend which will never do it.
func SetPatience(d time.Duration) { patience = d }
