package steadybbolt

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/steady-go/steady/idempotency"
)

// A record is stored as its version, the process that claimed it last, its numbers, its strings with their lengths, and its outcome.
const recordVersion = 1

// encode returns a record as this process stores it.
func encode(r *idempotency.Record) []byte {
	b := make([]byte, 0, 1+len(process)+6*binary.MaxVarintLen64+2*binary.MaxVarintLen32+len(r.Fingerprint)+len(r.Token)+len(r.Outcome))
	b = append(b, recordVersion)
	b = append(b, process[:]...)
	recovered := byte(0)
	if r.Recovered {
		recovered = 1
	}
	b = append(b, byte(r.State), recovered)
	b = binary.AppendUvarint(b, r.Fence)
	b = binary.AppendUvarint(b, uint64(r.Attempt))
	b = binary.AppendVarint(b, int64(r.LeaseUntil))
	b = binary.AppendVarint(b, int64(r.KeepUntil))
	b = appendString(b, r.Fingerprint)
	b = appendString(b, r.Token)
	return append(b, r.Outcome...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var (
	errVersion = errors.New("is of a version that is not known")
	errBroken  = errors.New("is broken")
)

// decode fills a record with what was stored, and returns the process that did.
func decode(b []byte, r *idempotency.Record) (claimant [16]byte, err error) {
	if len(b) == 0 || b[0] != recordVersion {
		return claimant, errVersion
	}
	d := decoder{b: b[1:]}
	copy(claimant[:], d.take(uint64(len(claimant))))
	r.State = idempotency.State(d.byte())
	recovered := d.byte()
	r.Recovered = recovered == 1
	r.Fence = d.uvarint()
	attempt := d.uvarint()
	r.Attempt = int(attempt)
	r.LeaseUntil = time.Duration(d.varint())
	r.KeepUntil = time.Duration(d.varint())
	r.Fingerprint = string(d.take(d.uvarint()))
	r.Token = string(d.take(d.uvarint()))
	r.Outcome = append(idempotency.Outcome(nil), d.b...) // what bbolt returns is of use until the transaction ends
	if d.broken || r.State > idempotency.Finished || recovered > 1 || r.Attempt < 1 || uint64(r.Attempt) != attempt || r.KeepUntil < 0 {
		*r = idempotency.Record{}
		return claimant, errBroken
	}
	return claimant, nil
}

// A decoder takes one thing after the other, and is broken when there is too little.
type decoder struct {
	b      []byte
	broken bool
}

func (d *decoder) take(n uint64) (taken []byte) {
	if n > uint64(len(d.b)) {
		d.broken, d.b = true, nil
		return nil
	}
	taken, d.b = d.b[:n], d.b[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.take(size(n))
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.take(size(n))
	return v
}

// size returns the size of a number that was read, or more than there is if it could not be.
func size(n int) uint64 {
	if n <= 0 {
		return 1 << 62
	}
	return uint64(n)
}
