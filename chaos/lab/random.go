package lab

// draw returns a number in [0, 1) that depends on its arguments alone: of the seed,
// of one stream of draws of it, such as those of one request, of the key and of n.
func draw(seed, stream uint64, key string, n uint64) float64 {
	h := mix(mix(seed+golden) ^ stream)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 0x100000001b3 // FNV-1a
	}
	return float64(mix(mix(h)^n)>>11) / (1 << 53)
}

const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the
// result depends on each of x.
func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
