package chain_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/internal/chain"
)

func TestNextMayBeRunAgainByEachLink(t *testing.T) {
	var order string
	twice := func(name string) chain.Link {
		return chain.Link{Do: func(ctx context.Context, next chain.Next) error {
			order += name
			_ = next.Do(ctx)
			return next.Do(ctx)
		}}
	}
	next := chain.Of([]chain.Link{twice("a"), twice("b")}).Around(func(context.Context) error { order += "."; return context.Canceled })
	require.Equal(t, context.Canceled, next.Do(t.Context()))
	require.Equal(t, "ab..b..", order)
	order = ""
	require.Equal(t, context.Canceled, chain.Of(nil).Around(func(context.Context) error { order += "."; return context.Canceled }).Do(t.Context()))
	require.Equal(t, ".", order)
}
