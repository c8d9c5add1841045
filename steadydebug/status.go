package steadydebug

import "time"

// A Status is what the page shows, and what status.json holds. Fields may be added.
// Strings are cut at 256 bytes.
type Status struct {
	Title   string    `json:"title,omitempty"`
	Time    time.Time `json:"time"`
	Since   time.Time `json:"since"` // when the page was made, from when totals count
	Summary Summary   `json:"summary"`

	// Policies are sorted by kind and name.
	Policies []Policy `json:"policies"`

	// Moments are the last that were worth noting, the newest first, at most 100.
	Moments []Moment `json:"moments"`

	// FurtherEvents are events so far of policies whose kind and name came when there were
	// 500 already, and which are not counted elsewhere.
	FurtherEvents uint64 `json:"further_events"`

	// FurtherStatuses are policies and members of groups of which no status is shown, since
	// there are more than 1,000 policies, or more than 200 members in a group, or 1,000
	// members in all. Those that are in trouble are shown first.
	FurtherStatuses int `json:"further_statuses"`
}

// A Summary says what is not as it should be. What is in it is nobody's fault by
// itself: an open breaker does its work.
type Summary struct {
	// Breakers are all that can be closed, members of groups too.
	Breakers int `json:"breakers"`

	NotClosed Mention `json:"not_closed"` // breakers that are not
	Shedding  Mention `json:"shedding"`   // groups that refuse calls since all members fail
	Armed     Mention `json:"armed"`      // injectors of faults that inject them now
	DryRun    Mention `json:"dry_run"`    // policies that refuse nothing
}

// A Mention is policies to which the same applies.
type Mention struct {
	Count int   `json:"count"`
	First []Ref `json:"first"` // at most 20 of them
}

// A Ref names a policy, or a member of a group.
type Ref struct {
	Policy string `json:"policy"`
	Name   string `json:"name"`
	Key    string `json:"key,omitempty"`
}

// A Policy is all policies of one kind and name.
type Policy struct {
	Policy string `json:"policy"`
	Name   string `json:"name"`

	// Calls are what they told as a hook's events, added up, or nil if they told nothing.
	Calls *Calls `json:"calls,omitempty"`

	// Instances are what they hold, one by one. None are known if they report to the page
	// through a hook that keeps events of [steady.KindNew] from it, or have been collected.
	Instances []Instance `json:"instances"`
}

// An Instance is what one policy holds.
type Instance struct {
	ID    uint64 `json:"id"` // as in [steady.Status]
	State string `json:"state,omitempty"`

	// DryRun says that it refuses nothing.
	DryRun bool `json:"dry_run"`

	// Levels are by name, such as "in_flight", with "_seconds" at the end of times.
	Levels map[string]float64 `json:"levels"`

	// Switches are those that who asks may throw, by name. See Config.AllowControl.
	Switches []string `json:"switches,omitempty"`

	// Members are those of a group, in the order of their keys, at most 200: those
	// that are not closed come before others into this choice.
	Members []Member `json:"members,omitempty"`

	// MembersByState counts all members, shown or not.
	MembersByState map[string]int `json:"members_by_state,omitempty"`
}

// A Member is what a member of a group holds.
type Member struct {
	Key      string             `json:"key"`
	State    string             `json:"state,omitempty"`
	Levels   map[string]float64 `json:"levels"`
	Switches []string           `json:"switches,omitempty"`
}

// Calls are what became of calls.
type Calls struct {
	// Seconds is over how long rates, shares and latencies were taken: about 10 if somebody
	// looked 10 seconds ago, else since the look nearest to that, and before the
	// first since the page was made. Rates of less than half a second are told as 0.
	Seconds float64 `json:"seconds"`

	Success   Count `json:"success"`
	Failure   Count `json:"failure"`
	Ignored   Count `json:"ignored"`
	Rejected  Count `json:"rejected"` // calls that were not started
	Retries   Count `json:"retries"`
	Abandoned Count `json:"abandoned"`
	DryRun    Count `json:"dry_run"`  // calls that would have been rejected
	Injected  Count `json:"injected"` // faults

	// Of a cache, whose calls are the requests to it.
	Loads     Count `json:"loads"`           // in the background too
	Fruitless Count `json:"fruitless_loads"` // those that brought no answer, but for those left running, which are Abandoned
	Evicted   Count `json:"evicted"`         // entries

	// By reason, at most 16 each and then "other". Successes have one if they are answers of
	// a cache: where they came from, such as "fresh".
	RejectedFor []Reason `json:"rejected_for,omitempty"`
	DryRunFor   []Reason `json:"dry_run_for,omitempty"`
	InjectedFor []Reason `json:"injected_for,omitempty"`
	SuccessFrom []Reason `json:"success_from,omitempty"`
	LoadsFor    []Reason `json:"loads_for,omitempty"`
	EvictedFor  []Reason `json:"evicted_for,omitempty"`

	// FailureShare is failures by failures and successes, from 0 to 1; nil if there were none of both.
	FailureShare *float64 `json:"failure_share,omitempty"`

	// Latency is of the calls that ended; nil if none did.
	Latency *Latency `json:"latency,omitempty"`
}

// A Count is how often something happened.
type Count struct {
	Total     uint64  `json:"total"`
	PerSecond float64 `json:"per_second"`
}

// A Reason is how often something happened for one reason.
type Reason struct {
	Reason string `json:"reason"`
	Count
}

// A Latency is how long calls took, to within an eighth between 1 µs and 73 minutes. What is
// shorter is 0.000000512, what is longer 4398.
type Latency struct {
	P50 float64 `json:"p50_seconds"`
	P90 float64 `json:"p90_seconds"`
	P99 float64 `json:"p99_seconds"`
}
