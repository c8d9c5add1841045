package cache

import "time"

// A Source tells where an answer comes from.
type Source uint8

const (
	// None: there is no answer.
	None Source = iota
	// Fresh: an entry that is as good as new.
	Fresh
	// Loaded: a load that this Get waited for.
	Loaded
	// Stale: an entry past its time, which is being loaded anew.
	Stale
	// StaleOnError: an entry past its time, which could not be loaded anew.
	StaleOnError
	// Negative: the cache remembers that there is nothing.
	Negative
)

// String returns the source in a few words, such as "stale on error".
func (s Source) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case Loaded:
		return "loaded"
	case Stale:
		return "stale"
	case StaleOnError:
		return "stale on error"
	case Negative:
		return "negative"
	}
	return "none"
}

// Meta tells of an answer where it comes from.
type Meta struct {
	Source Source

	// Age is how long ago the load ended, or the Set, that brought the answer.
	Age time.Duration

	// Err is why the answer is stale: of [StaleOnError], why it could not be loaded
	// anew now; of [Stale], why the last load in the background failed, or nil if it did not. Of [Negative] it is the error
	// that is remembered. Of others it is nil.
	Err error
}
