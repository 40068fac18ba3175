package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	keyID, secret = "tracegrad", "not-a-secret"
	slowest       = 2 * time.Second // that an answer of a slow bucket is late
)

// weather is what becomes of calls to a bucket.
type weather int32

const (
	fair    weather = iota
	slow            // every call is late
	failing         // calls are refused, or their answers lost, by chance
	dead            // no call comes through
)

// bucket is a versitygw process, which speaks S3 over a folder, behind a proxy
// with a weather. What the server stored is read in its folder, whatever the
// weather.
type bucket struct {
	folder  string // of the dataset, on the server's disk
	url     string // of the dataset, through the proxy
	weather atomic.Int32
	server  *exec.Cmd
	proxy   *http.Server
}

// openBucket starts a server whose data lies below root.
func openBucket(ctx context.Context, binary, root string) (b *bucket, err error) {
	data, meta := filepath.Join(root, "data"), filepath.Join(root, "meta")
	b = &bucket{folder: filepath.Join(data, "traces", "dataset")}
	if err := errors.Join(os.MkdirAll(b.folder, 0o755), os.MkdirAll(meta, 0o755)); err != nil {
		return nil, err
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	back, err := free()
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	b.server = exec.Command(binary, "--port", back, "--quiet", "posix", "--sidecar", meta, data)
	b.server.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+keyID, "ROOT_SECRET_ACCESS_KEY="+secret)
	if err := b.server.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start an S3 server: %w", err), front.Close())
	}
	b.proxy = &http.Server{Handler: b.pass(back), ReadHeaderTimeout: time.Minute}
	go func() { _ = b.proxy.Serve(front) }()
	b.url = "s3://traces/dataset?region=us-east-1&endpoint=" + url.QueryEscape("http://"+front.Addr().String())
	return b, errors.Join(answers(ctx, back))
}

// free is an address on which nobody listens.
func free() (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until an HTTP server does.
func answers(ctx context.Context, address string) error {
	for began := time.Now(); ; {
		resp, err := http.Get("http://" + address + "/") //nolint:noctx // of this machine
		if err == nil {
			return resp.Body.Close()
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("wait for the S3 server: %w", err)
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// pass is the proxy.
func (b *bucket) pass(to string) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: to})
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch weather(b.weather.Load()) {
		case slow:
			if sleep(r.Context(), time.Duration(rand.Int64N(int64(slowest)))) != nil { //nolint:gosec // chance
				return
			}
		case failing:
			switch rand.IntN(6) { //nolint:gosec // chance
			case 0, 1:
				http.Error(w, "the torture refuses it", http.StatusServiceUnavailable)
				return
			case 2: // it happens, and nobody is told
				proxy.ServeHTTP(&lost{header: http.Header{}}, r)
				panic(http.ErrAbortHandler)
			}
		case dead:
			panic(http.ErrAbortHandler) // cuts the connection
		case fair:
		}
		proxy.ServeHTTP(w, r)
	})
}

// lost is an answer that goes nowhere.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }
func (l *lost) WriteHeader(int)             {}

// env is what a Collector must know to write to the bucket.
func (b *bucket) env() map[string]string {
	return map[string]string{
		"TRACEGRAD_DATA": b.url, "AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true",
	}
}

func (b *bucket) close() error {
	err := errors.Join(b.proxy.Close(), b.server.Process.Kill())
	_ = b.server.Wait()
	return err
}

// findBucket leaves out the faults of buckets, and says so, where there is no
// server for them.
func (o *options) findBucket() {
	if _, err := os.Stat(o.s3); !errors.Is(err, fs.ErrNotExist) || len(onGround(o.faults, ofBucket)) == 0 {
		return
	}
	fmt.Printf("skipped: %s: no S3 server at %s (make .cache/systems/versitygw)\n", joined(onGround(o.faults, ofBucket)), o.s3)
	o.faults = append(onGround(o.faults, ofDisk), onGround(o.faults, ofSmallDisk)...)
}

// slowBucket answers late for some time.
func slowBucket(ctx context.Context, g *ground) (string, error) {
	if err := sleep(ctx, g.upTo(g.shape.Over/2)); err != nil {
		return "", err
	}
	began := time.Now()
	g.bucket.weather.Store(int32(slow))
	defer g.bucket.weather.Store(int32(fair))
	err := sleep(ctx, g.busy)
	killed, again := g.maybeKill()
	return fmt.Sprintf("every call was up to %s late for %s%s", slowest, round(time.Since(began)), killed), errors.Join(err, again(ctx))
}

// failingBucket refuses calls and loses answers for some time.
func failingBucket(ctx context.Context, g *ground) (string, error) {
	return g.whileBroken(ctx, "the bucket was failing", func() (heal func() error, err error) { return g.bucket.turn(failing), nil })
}

// deadBucket is gone for some time.
func deadBucket(ctx context.Context, g *ground) (string, error) {
	return g.whileBroken(ctx, "the bucket was dead", func() (heal func() error, err error) { return g.bucket.turn(dead), nil })
}

func (b *bucket) turn(to weather) (heal func() error) {
	b.weather.Store(int32(to))
	return func() error { b.weather.Store(int32(fair)); return nil }
}
