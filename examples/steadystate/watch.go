package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadydebug"
	"github.com/steady-go/steady/steadyotel"
)

// A watch lets others look on: at /metrics what Prometheus scrapes, and at /debug/steady/ the
// status page. This is all that a service needs for both.
type watch struct {
	hook   steady.Hook // for all policies
	url    string
	server *http.Server
	meters *metric.MeterProvider
	served chan error
}

// newWatch serves at addr. Who may see the page may throw its switches only if control says so.
func newWatch(addr string, control bool) (*watch, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	meters := metric.NewMeterProvider(metric.WithReader(exporter))
	otel, err := steadyotel.New(steadyotel.Config{MeterProvider: meters})
	if err != nil {
		return nil, err
	}
	page, err := steadydebug.New(steadydebug.Config{
		AllowControl: func(*http.Request) bool { return control },
		TraceID:      steadyotel.TraceID,
	})
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/debug/steady/", page)
	mux.Handle("/{$}", http.RedirectHandler("/debug/steady/", http.StatusFound))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &watch{
		hook:   steady.Hooks(otel, page),
		url:    "http://" + reachable(listener.Addr()),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
		meters: meters,
		served: make(chan error, 1),
	}
	go func() { w.served <- w.server.Serve(listener) }()
	return w, nil
}

// reachable returns an address at which a listener can be reached from this machine.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return a.String()
}

// close ends the serving. Who is being answered gets a second for that.
func (w *watch) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := errors.Join(w.server.Shutdown(ctx), w.meters.Shutdown(ctx))
	if served := <-w.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", served))
	}
	return err
}
