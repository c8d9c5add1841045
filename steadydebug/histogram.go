package steadydebug

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Durations are counted in buckets: four to each power of two, from 1 µs to 73 minutes,
// one for what is shorter and one for what is longer. The middle of a bucket is at most an
// eighth from whatever is in it.
const (
	shortest = 10 // 2¹⁰ ns is about 1 µs
	longest  = 42 // 2⁴² ns is 73 minutes
	buckets  = 1 + 4*(longest-shortest) + 1
)

// A histogram counts durations. Its zero value is empty.
type histogram [buckets]atomic.Uint64

func (h *histogram) add(d time.Duration) { h[bucketOf(d)].Add(1) }

func (h *histogram) counts() *[buckets]uint64 {
	var c [buckets]uint64
	for n := range h {
		c[n] = h[n].Load()
	}
	return &c
}

// bucketOf returns the bucket that d is counted in.
func bucketOf(d time.Duration) int {
	if d < 1<<shortest {
		return 0
	}
	power := bits.Len64(uint64(d)) - 1
	if power >= longest {
		return buckets - 1
	}
	quarter := int(uint64(d)>>(power-2)) & 3
	return 1 + 4*(power-shortest) + quarter
}

// middleOf returns the duration that stands for all in a bucket, in seconds.
func middleOf(bucket int) float64 {
	switch bucket {
	case 0:
		return (time.Duration(1<<shortest) / 2).Seconds()
	case buckets - 1:
		return time.Duration(1 << longest).Seconds()
	}
	power, quarter := shortest+(bucket-1)/4, (bucket-1)%4
	width := time.Duration(1) << (power - 2)
	return (time.Duration(4+quarter)*width + width/2).Seconds()
}

// quantiles returns, in seconds, those of what was counted between two moments, of which nil
// means that nothing was counted yet; and false if that is nothing. The shares must ascend.
func quantiles(before, after *[buckets]uint64, shares ...float64) ([]float64, bool) {
	if after == nil {
		return nil, false
	}
	var between [buckets]uint64
	var all uint64
	for n := range between {
		between[n] = after[n]
		if before != nil {
			between[n] -= before[n]
		}
		all += between[n]
	}
	if all == 0 {
		return nil, false
	}
	values := make([]float64, 0, len(shares))
	var sofar uint64
	for n, count := range between {
		sofar += count
		for len(values) < len(shares) && float64(sofar) >= shares[len(values)]*float64(all) {
			values = append(values, middleOf(n))
		}
	}
	return values, true
}
