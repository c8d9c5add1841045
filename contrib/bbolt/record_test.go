package steadybbolt

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/steady-go/steady/idempotency"
)

func FuzzRecord(f *testing.F) {
	f.Add("fingerprint", "token", uint64(1), 1, true, int64(1), int64(2), uint8(2), []byte("outcome"))
	f.Add("", strings.Repeat("ü", 200), uint64(1<<63), 1<<40, false, int64(-1), int64(1<<62), uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, fingerprint, token string, fence uint64, attempt int, recovered bool, lease, keep int64, state uint8, outcome []byte) {
		r := idempotency.Record{
			Fingerprint: fingerprint, Token: token, Fence: fence, Attempt: attempt, Recovered: recovered,
			LeaseUntil: time.Duration(lease), KeepUntil: time.Duration(keep), State: idempotency.State(state % 3), Outcome: outcome,
		}
		if attempt < 1 || keep < 0 {
			return
		}
		var got idempotency.Record
		claimant, err := decode(encode(&r), &got)
		require.NoError(t, err)
		require.Equal(t, process, claimant)
		if len(outcome) == 0 {
			r.Outcome = nil
		}
		require.Equal(t, r, got)
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 2, 3})
	f.Add(encode(&idempotency.Record{Attempt: 1, Fingerprint: "f", Token: "t", Outcome: idempotency.Outcome("o")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r idempotency.Record
		if _, err := decode(b, &r); err != nil {
			require.Equal(t, idempotency.Record{}, r)
			return
		}
		// What is understood means the same when it is stored again.
		var again idempotency.Record
		_, err := decode(encode(&r), &again)
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

// Whoever had claimed it has closed the file, or died.
func TestAClaimOfAnotherProcessIsThatOfADeadOwner(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "keys.db"), 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	s := MustNew(Config{DB: db})
	key := strings.Repeat("0", 64)
	claim := idempotency.Claim{Key: key, Token: "a", Lease: time.Hour, Keep: 2 * time.Hour}
	_, err = s.Begin(t.Context(), claim)
	require.NoError(t, err)
	claim.Token = "b"
	g, err := s.Begin(t.Context(), claim)
	require.NoError(t, err)
	require.Equal(t, idempotency.Busy, g.Status)

	process[0]++ // this is another process now
	defer func() { process[0]-- }()
	g, err = s.Begin(t.Context(), claim)
	require.NoError(t, err)
	require.Equal(t, idempotency.Acquired, g.Status)
	require.True(t, g.Recovered)
	claim.Token = "c"
	g, err = s.Begin(t.Context(), claim)
	require.NoError(t, err)
	require.Equal(t, idempotency.Busy, g.Status)
}

func TestATruncatedRecordIsBroken(t *testing.T) {
	whole := encode(&idempotency.Record{Attempt: 1, Fingerprint: "fingerprint", Token: "token", LeaseUntil: 1 << 60, KeepUntil: 1 << 61, Fence: 1 << 40})
	for n := range whole {
		var r idempotency.Record
		_, err := decode(whole[:n], &r)
		require.Error(t, err, "%d bytes of %d", n, len(whole))
	}
}
