package dataset

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

const (
	// leaseLasts is how long the claim of an upkeep of a bucket counts after it
	// was made or renewed.
	leaseLasts = 15 * time.Minute
	leaseRenew = time.Minute
	// leaseHeld is how long the holder may trust it: what it has sent to the bucket
	// by then has arrived, or never will, when somebody else takes over.
	leaseHeld = leaseLasts / 2
)

// errLeaseLost ends an upkeep that could not say any more that it goes on.
var errLeaseLost = errors.New("the bucket did not let the claim on it be renewed: begin again")

// lease is the right to do the upkeep of a bucket, which has no locks.
//
// Everybody who wants it puts an object of their own, then lists them all. Of
// two that overlap at least one sees the other, and who sees another gives way;
// both may, and nobody does then. An object whose owner was killed counts no
// more once it is much older than one's own, by the bucket's clock.
type lease struct {
	bucket Bucket
	name   string
	stop   context.CancelCauseFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	renewed time.Time
}

func leaseDir() string { return path.Join(layout, tmpDir, upkeep) + "/" }

// takeLease also gives the context in which the lease is held.
func takeLease(ctx context.Context, b Bucket, id ulid.ULID) (*lease, context.Context, error) {
	l := &lease{bucket: b, name: leaseDir() + id.String()}
	if err := l.renew(ctx); err != nil {
		return nil, nil, err
	}
	if err := l.alone(ctx); err != nil {
		return nil, nil, errors.Join(err, b.Remove(context.WithoutCancel(ctx), l.name))
	}
	ctx, l.stop = context.WithCancelCause(ctx)
	l.ended.Go(func() { l.keep(ctx) })
	return l, ctx, nil
}

func (l *lease) renew(ctx context.Context) error {
	began := time.Now()
	if err := l.bucket.Put(ctx, l.name, strings.NewReader(""), 0); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = began
	return nil
}

// alone fails if somebody else is at work, and removes what the dead left.
func (l *lease) alone(ctx context.Context) error {
	claims, err := l.bucket.List(ctx, leaseDir())
	if err != nil {
		return err
	}
	own := slices.IndexFunc(claims, func(o Object) bool { return o.Name == l.name })
	if own < 0 {
		return errors.New("the bucket does not list what was put into it")
	}
	for i, o := range claims {
		if i != own && claims[own].Time.Sub(o.Time) < leaseLasts {
			return fmt.Errorf("compact, retention or deletion is going on, or ended less than %s ago without saying so (%s)", leaseLasts, o.Name)
		}
	}
	for i, o := range claims {
		if i != own {
			if err := l.bucket.Remove(ctx, o.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep renews the lease until it is stopped.
func (l *lease) keep(ctx context.Context) {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !l.held() {
			l.stop(errLeaseLost)
			return
		}
		_ = l.renew(ctx) // and again in a minute
	}
}

// held reports whether nobody else can have the lease yet.
func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.renewed) < leaseHeld
}

// release lets the next one in at once, unless what was sent may still be on
// its way: then the claim stays, and ends by itself.
func (l *lease) release(settled bool) error {
	l.stop(nil)
	l.ended.Wait()
	if !settled {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
	defer cancel()
	return l.bucket.Remove(ctx, l.name)
}
