package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/operation"
)

var screenshots = flag.String("screenshots", "", "write pictures of the status page into this `folder`")

// A browser is a real one without a window, on one page.
type browser struct {
	ctx     context.Context
	mu      sync.Mutex
	console []string // all that it had to say; guarded by mu
}

func open(t *testing.T, address string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program(t, "chromium")), chromedp.NoSandbox)
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, expire := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(expire)

	b := &browser{ctx: ctx}
	messages := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.console = append(b.console, m.String())
			b.mu.Unlock()
		}
	})
	t.Cleanup(func() { expire(); reading.Wait() })
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(address)))
	return b
}

// eval returns the value of an expression in the page.
func eval[T any](t *testing.T, b *browser, expr string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expr))
	require.NoError(t, err, expr)
	return v
}

// text returns what a reader sees of an element, or "" while there is none.
func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	return eval[string](t, b, `document.querySelector('`+selector+`')?.innerText ?? ""`)
}

// click presses the button that there is when it does so: the page renews itself meanwhile.
func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	require.True(t, eval[bool](t, b, `(() => { const e = document.querySelector('`+selector+`'); e?.click(); return !!e })()`), selector)
}

// saidNothing checks that the console is empty.
func (b *browser) saidNothing(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.console, "in the console of the browser")
}

// picture writes a screenshot, if pictures are wanted.
func (b *browser) picture(t *testing.T, name string) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644))
}

const nodes = `section[data-policy="breaker"][data-name="nodes"] `

// A person watches the run in a browser: breakers open as nodes fail, and close again.
func TestABrowserShowsTheRunAsItGoes(t *testing.T) {
	if race {
		t.Skip("it is run without the race detector too, by make test")
	}
	run := start(t, "-rate", "100", "-control") // it is ended when the test does
	b := open(t, run.url+"/debug/steady/")
	keys := func(state string) []string {
		return eval[[]string](t, b, `[...document.querySelectorAll('`+nodes+`[data-state="`+state+`"]')].map(e => e.closest("[data-key]")?.dataset.key ?? "")`)
	}
	eventually(t, "the breakers", func() bool { return len(keys("closed")) == 10 })
	var opened []string
	eventually(t, "a breaker to open", func() bool { opened = keys("open"); return len(opened) > 0 })
	b.picture(t, "status")
	eventually(t, "it to close again", func() bool { return slices.Contains(keys("closed"), opened[0]) })
	require.Contains(t, b.text(t, "body"), "guarded")
	b.saidNothing(t)
}

// A switch is thrown in the browser, and the breaker obeys. A name that wants to be markup is shown
// as the text that it is.
func TestASwitchInTheBrowserIsObeyed(t *testing.T) {
	const hostile = `<img src=x onerror="document.title='owned'"><script>alert(1)</script>`
	w, err := newWatch("127.0.0.1:0", true)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.close()) }()
	db := breaker.MustNew(breaker.Config{Name: "db", Hook: w.hook})
	evil := operation.MustNew(operation.Config{Name: hostile, Hook: w.hook})
	ok := func(context.Context) error { return nil }
	require.NoError(t, db.Do(t.Context(), ok))
	require.Error(t, evil.Do(t.Context(), func(context.Context) error { return errors.New(hostile) }))

	b := open(t, w.url+"/debug/steady/")
	const section = `section[data-policy="breaker"][data-name="db"] `
	eventually(t, "the page", func() bool { return strings.Contains(b.text(t, section), "closed") })
	require.Contains(t, b.text(t, "body"), hostile)
	runtime.KeepAlive(evil) // the page does not keep it
	require.Zero(t, eval[int](t, b, `document.querySelectorAll('img, script:not([src])').length`))
	require.NotEqual(t, "owned", eval[string](t, b, `document.title`))

	b.click(t, section+`[data-switch="force open"]`)
	eventually(t, "the breaker to obey", func() bool { return db.State() == breaker.ForcedOpen })
	require.ErrorIs(t, db.Do(t.Context(), ok), breaker.ErrOpen)
	eventually(t, "the page to tell", func() bool { return strings.Contains(b.text(t, section), "forced-open") })
	b.picture(t, "switched")
	b.click(t, section+`[data-switch="begin dry run"]`)
	eventually(t, "the dry run", func() bool { return db.Stats().DryRun })
	require.NoError(t, db.Do(t.Context(), ok))
	b.click(t, section+`[data-switch="reset"]`)
	eventually(t, "the breaker to close", func() bool { return db.State() == breaker.Closed })
	b.saidNothing(t)
}

// On a phone nothing is wider than the screen.
func TestThePageFitsOnAPhone(t *testing.T) {
	w, err := newWatch("127.0.0.1:0", true)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.close()) }()
	group := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: strings.Repeat("a-long-name-without-a-space", 5), Hook: w.hook}})
	for _, key := range []string{"10.0.0.1:8080", strings.Repeat("k", 100)} {
		require.NoError(t, group.Do(t.Context(), key, func(context.Context) error { return nil }))
	}
	b := open(t, w.url+"/debug/steady/")
	require.NoError(t, chromedp.Do(b.ctx, chromedp.EmulateViewport(360, 740)))
	eventually(t, "the page", func() bool { return strings.Contains(b.text(t, "body"), "10.0.0.1:8080") })
	require.LessOrEqual(t, eval[int](t, b, `document.documentElement.scrollWidth`), 360)
	b.picture(t, "phone")
	b.saidNothing(t)
	runtime.KeepAlive(group) // the page does not keep it
}
