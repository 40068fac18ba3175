package dataset

import (
	"context"
	"fmt"
)

// shelf is the place of what upkeep makes in a bucket. A note tells of each set
// before its first file is put, so no marker is needed, and nothing is taken
// back: whether a call that failed has come through shows the next upkeep, by
// the note, when nothing can be on its way any more (see [lease]).
type shelf struct {
	bucket Bucket
	lease  *lease
	local  string // staging folder
	failed bool   // a set may be there or not
}

func (s *shelf) staging() (string, error) { return s.local, nil }

func (s *shelf) path(name string) string { return s.bucket.String() + "/" + name }

func (s *shelf) publish(ctx context.Context, set *stage) error {
	set.order()
	for _, f := range set.files {
		if !s.lease.held() {
			return errLeaseLost
		}
		if err := putFile(ctx, s.bucket, f); err != nil {
			s.failed = true
			return fmt.Errorf("%w (what was begun is undone, or finished, by an upkeep after %s)", err, leaseLasts)
		}
	}
	return set.drop()
}

func (*shelf) takeBack(*stage) error { return nil }

func (*shelf) warning() error { return nil }

func (*shelf) close() error { return nil }
