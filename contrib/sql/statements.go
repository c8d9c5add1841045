package steadysql

import "strings"

// The clock of each database, in microseconds since 1970. That of PostgreSQL goes on within a transaction, as now() does not. That
// of SQLite stands still within a statement, and counts milliseconds, to which the rounding brings back what a float has blurred.
const (
	postgresNow = `CAST(floor(extract(epoch FROM clock_timestamp()) * 1000000) AS bigint)`
	sqliteNow   = `CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS integer) * 1000`
)

const table = `CREATE TABLE IF NOT EXISTS {table} (
	key         text PRIMARY KEY,
	fingerprint text NOT NULL,
	token       text NOT NULL,     -- of who claimed the key last
	fence       bigint NOT NULL,
	attempt     bigint NOT NULL,
	recovered   boolean NOT NULL,
	state       smallint NOT NULL, -- 0 claimed, 1 released, 2 finished
	lease_until bigint NOT NULL,   -- times are in microseconds since 1970
	keep_until  bigint NOT NULL,
	outcome     {bytes}
)`

// takeable holds of a row that a claim may take.
const takeable = `(r.keep_until <= {now} OR
	(r.fingerprint = '' OR CAST($3 AS text) = '' OR r.fingerprint = CAST($3 AS text)) AND
	(r.state = 1 OR r.state = 0 AND (r.token = CAST($2 AS text) OR r.lease_until <= {now} AND NOT CAST($6 AS boolean))))`

// claim claims a key and returns fence, attempt and recovered, or returns no row and changes nothing. Its parameters are key, token, fingerprint,
// lease, retention, whether unknown is refused, and what claimAfter takes. RETURNING cannot see the old row, so what depends on it is computed
// in the SET list, where n is one reading of the clock after all waiting.
const claim = `WITH {claimAfter}
INSERT INTO {table} AS r (key, fingerprint, token, fence, attempt, recovered, state, lease_until, keep_until)
SELECT CAST($1 AS text), CAST($3 AS text), CAST($2 AS text), n.fence, 1, false, 0, n.now + CAST($4 AS bigint), n.now + CAST($5 AS bigint)
FROM n WHERE true
ON CONFLICT (key) DO UPDATE SET
(fingerprint, token, fence, attempt, recovered, state, lease_until, keep_until, outcome) = (
	SELECT
		CASE WHEN n.expired OR r.fingerprint = '' THEN CAST($3 AS text) ELSE r.fingerprint END,
		CAST($2 AS text),
		CASE WHEN n.again THEN r.fence ELSE {greatest}(r.fence + 1, n.now{fenceFloor}) END,
		CASE WHEN n.expired THEN 1 WHEN n.again THEN r.attempt ELSE r.attempt + 1 END,
		CASE WHEN n.expired THEN false WHEN n.again THEN r.recovered ELSE r.state = 0 END,
		0,
		n.now + CAST($4 AS bigint),
		n.now + CAST($5 AS bigint),
		CAST(NULL AS {bytes})
	FROM (
		SELECT c.now, r.keep_until <= c.now AS expired,
			r.keep_until > c.now AND r.state = 0 AND r.token = CAST($2 AS text) AS again
		FROM (SELECT {now} AS now) AS c
	) AS n
)
WHERE ` + takeable + `
RETURNING fence, attempt, recovered`

// postgresClaimAfter has claims of a key that may be taken wait for each other, before the clock is read: one that waits for the uncommitted row of
// another, and inserts its own when that is rolled back, would insert what it has computed before the wait, and a
// fence that may be lower than that of the other. A key that may not be taken is not locked: its owner must get through to it
// while the transaction of a duplicate goes on. $7 is the number of the lock.
const postgresClaimAfter = `l AS MATERIALIZED (
	SELECT pg_advisory_xact_lock(CAST($7 AS bigint))
	WHERE NOT EXISTS (SELECT 1 FROM {table} AS r WHERE r.key = CAST($1 AS text) AND NOT ` + takeable + `)
), n AS MATERIALIZED (
	SELECT c.now, c.now AS fence FROM (SELECT {now} AS now FROM l) AS c
)`

// sqliteClaimAfter needs no lock, since SQLite has one writer at a time. $7 is the time in microseconds, by the same clock: for the fence
// alone, which grows within a millisecond too, even if the transaction before was rolled back.
const sqliteClaimAfter = `n AS (
	SELECT c.now, max(c.now, CAST($7 AS integer)) AS fence FROM (SELECT {now} AS now) AS c
)`

const read = `SELECT n.now, r.fingerprint, r.token, r.fence, r.attempt, r.recovered, r.state, r.lease_until, r.keep_until, r.outcome
FROM {table} AS r, (SELECT {now} AS now) AS n WHERE r.key = $1`

// What an owner does. $1 is the key and $2 the token.
const (
	extend = `UPDATE {table} AS r SET
	lease_until = CASE WHEN r.state = 0 THEN {now} + CAST($3 AS bigint) ELSE r.lease_until END,
	keep_until = CASE WHEN r.state = 0 THEN {greatest}(r.keep_until, {now} + CAST($3 AS bigint)) ELSE r.keep_until END
WHERE r.key = $1 AND r.token = $2 AND r.keep_until > {now} AND r.state IN (0, 2)`

	finish = `UPDATE {table} AS r SET
	state = 2,
	outcome = CASE WHEN r.state = 0 THEN CAST($3 AS {bytes}) ELSE r.outcome END,
	lease_until = CASE WHEN r.state = 0 THEN {now} ELSE r.lease_until END,
	keep_until = CASE WHEN r.state = 0 THEN {now} + CAST($4 AS bigint) ELSE r.keep_until END
WHERE r.key = $1 AND r.token = $2 AND r.keep_until > {now} AND r.state IN (0, 2)`

	release = `UPDATE {table} AS r SET state = CASE WHEN r.recovered THEN 0 ELSE 1 END, lease_until = {now}
WHERE r.key = $1 AND r.token = $2 AND r.keep_until > {now} AND r.state IN (0, 1)`
)

// deleteExpired reads the clock in a subquery, once, so that the index can be used. It looks for the rows once, or a plan could do so for each row, and
// beyond the limit; and it looks again at one that was claimed meanwhile.
const deleteExpired = `WITH e AS MATERIALIZED (
	SELECT r.key FROM {table} AS r WHERE r.keep_until <= (SELECT {now}) ORDER BY r.keep_until LIMIT $1 {skipLocked}
)
DELETE FROM {table} WHERE key IN (SELECT e.key FROM e) AND keep_until <= (SELECT {now})`

// statements are those of one dialect and table.
type statements struct {
	claim, read, extend, finish, release, deleteExpired string
}

func newStatements(d Dialect, table string) *statements {
	fill := filler(d, table)
	return &statements{
		claim: fill(claim), read: fill(read), extend: fill(extend), finish: fill(finish), release: fill(release),
		deleteExpired: fill(deleteExpired),
	}
}

// schema returns the statements that make the table.
func schema(d Dialect, name string) []string {
	schema, base, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, base = "", name
	}
	index, on := quote(base+"_keep_until"), quote(name)
	if d == SQLite { // the index has the schema, and not the table
		on = quote(base)
		if qualified {
			index = quote(schema) + "." + index
		}
	}
	return []string{filler(d, name)(table), "CREATE INDEX IF NOT EXISTS " + index + " ON " + on + " (keep_until)"}
}

// filler returns a func that makes the statements of a dialect and a table.
func filler(d Dialect, table string) func(string) string {
	parts := strings.NewReplacer("{claimAfter}", postgresClaimAfter)
	words := []string{"{now}", postgresNow, "{greatest}", "greatest", "{bytes}", "bytea", "{skipLocked}", "FOR UPDATE SKIP LOCKED", "{fenceFloor}", ""}
	if d == SQLite {
		parts = strings.NewReplacer("{claimAfter}", sqliteClaimAfter)
		words = []string{"{now}", sqliteNow, "{greatest}", "max", "{bytes}", "blob", "{skipLocked}", "", "{fenceFloor}", ", CAST($7 AS integer)", "$", "?"}
	}
	wording := strings.NewReplacer(append(words, "{table}", quote(table))...)
	return func(s string) string { return wording.Replace(parts.Replace(s)) }
}

// quote quotes a name that has been checked.
func quote(name string) string { return `"` + strings.ReplaceAll(name, ".", `"."`) + `"` }
