module github.com/steady-go/steady/bench

go 1.26.0

require (
	github.com/steady-go/steady v0.0.0
	golang.org/x/sync v0.24.0
)

replace github.com/steady-go/steady => ../
