package fleet

import (
	"context"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos/lab"
)

// A Setup is what one arm of an experiment consists of.
type Setup struct {
	Size    Size
	Clients int // among which the requests are drawn; 0 means 1
	Guard   Guard
	Slow    float64 // the first [Failing] nodes are so many times slower during the fault; 0: they are not
}

// Build builds the setup. It is a [lab.Build].
func (s Setup) Build(w *lab.World) (lab.Call, error) {
	f := New(s.Size, w, w.Chaos().At)
	if s.Slow > 0 {
		f.slowDown(w, s.Slow)
	}
	s.Guard.Hook = w.Hook()
	clients := make([]*Client, max(s.Clients, 1))
	for i := range clients {
		clients[i] = f.Client(s.Guard)
	}
	w.Gauge("longest wait in s", func() float64 { return f.Wait().Seconds() })
	w.Gauge("open nodes", func() float64 {
		open := 0
		for _, c := range clients {
			open += c.Open()
		}
		return float64(open) / float64(len(clients))
	})
	return func(ctx context.Context, _ lab.Request) error {
		i := int(steady.Random(ctx, "fleet.client", 0) * float64(len(clients)))
		return clients[i].Do(ctx)
	}, nil
}

// slowDown makes the failing nodes slow from the beginning to the end of the fault.
func (f *Fleet) slowDown(w *lab.World, times float64) {
	set := func(times float64) func(context.Context) error {
		return func(context.Context) error {
			for _, name := range Names(Failing) {
				f.Slow(name, times)
			}
			return nil
		}
	}
	w.Rollback("the nodes are as fast as before", set(1))
	w.Step(0, "some nodes are slow", set(times))
}
