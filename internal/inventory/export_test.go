package inventory

// Held returns how many policies v has heard of and not forgotten.
func Held(v *Inventory) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.heard)
}
