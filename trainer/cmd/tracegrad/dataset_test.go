package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
)

// writeDataset is the script command dataset DIR: it writes three trajectories
// with the ids …0, …1, …2, of the users u-0, u-1, u-2, to DIR.
func writeDataset(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: dataset DIR")
	}
	day := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	var all []*trajectory.Trajectory
	for i := range 3 {
		t := trajectorytest.Random(rand.New(rand.NewPCG(uint64(i), 7)))
		t.ID = fmt.Sprintf("%032d", i)
		t.UserID, t.Tenant = fmt.Sprintf("u-%d", i), ""
		t.TaskKey = fmt.Sprintf("task-%d", i%2)
		t.ServiceName = "shop, \"assistant\""
		t.Revision, t.FirstSeenAt = day.UnixMicro(), day.UnixMicro()
		t.Facts = nil
		all = append(all, t)
	}
	w, err := dataset.NewWriter(ts.MkAbs(args[0]), "test", dataset.Options{Clock: func() time.Time { return day }})
	ts.Check(err)
	_, err = w.Write(context.Background(), all, nil)
	ts.Check(err)
	ts.Check(w.Close())
}
