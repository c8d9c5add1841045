module github.com/steady-go/steady

go 1.26
