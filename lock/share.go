package lock

// Share is a held part of something that several can hold: the right to read under an
// [RWLocker], or permits of a [Semaphore]. It has no token, because it excludes nobody and so must
// not keep anybody's writes out. The zero Share is not usable. Its methods may be called by
// several goroutines.
type Share struct{ held }

// Weight returns how much of the limit is held.
func (s *Share) Weight() int64 { return s.hold.Weight() }
