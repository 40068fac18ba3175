package bucket

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const keyID, secret = "tracegrad", "not-a-secret"

// gateway is a versitygw process, which speaks S3 over a folder, behind a relay
// that can be slow or cut.
type gateway struct {
	url   string // of the bucket, with a prefix
	delay atomic.Int64
	cut   atomic.Bool
}

// s3 starts a server. Tests other than those of `make test-systems` are skipped.
func s3(t *testing.T) *gateway {
	cache := os.Getenv("TRACEGRAD_TEST_SYSTEMS")
	if cache == "" {
		t.Skip("needs a live S3 server: make test-systems")
	}
	root := t.TempDir()
	for _, dir := range []string{"data/traces", "meta"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o700))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	cmd := exec.Command(filepath.Join(cache, "versitygw"), "--port", address, "--quiet", "posix", "--sidecar", filepath.Join(root, "meta"), filepath.Join(root, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+keyID, "ROOT_SECRET_ACCESS_KEY="+secret)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/")
		return err == nil && answer.Body.Close() == nil
	}, time.Minute, 50*time.Millisecond)
	g := &gateway{}
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv(EnvCache, t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	g.url = "s3://traces/a/dataset?region=us-east-1&endpoint=" + url.QueryEscape("http://"+g.relay(t, address))
	return g
}

// relay passes connections on to address.
func (g *gateway) relay(t *testing.T, address string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(in, address)
		}
	}()
	return l.Addr().String()
}

func (g *gateway) pass(in net.Conn, address string) {
	defer in.Close()
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := in.Read(buf)
		if err != nil || g.cut.Load() {
			return
		}
		time.Sleep(time.Duration(g.delay.Load()))
		if _, err := out.Write(buf[:n]); err != nil {
			return
		}
	}
}

func visible(t *testing.T, root string) map[string]int {
	dir, release, err := Local(t.Context(), root, ReadOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, release()) }()
	return whole(t, dataset.Set{
		Trajectories: read[dataset.TrajectoryRow](t, dir, dataset.TableTrajectories),
		Steps:        read[dataset.StepRow](t, dir, dataset.TableSteps),
		Messages:     read[dataset.MessageRow](t, dir, dataset.TableMessages),
	})
}

func TestS3(t *testing.T) {
	g := s3(t)
	w, err := NewWriter(t.Context(), g.url, "a", dataset.Options{})
	require.NoError(t, err)
	require.NoError(t, w.Warning())
	_, err = w.Write(t.Context(), some(1, 4), nil)
	require.NoError(t, err)
	assert.Len(t, visible(t, g.url), 4)

	g.cut.Store(true) // dead
	_, err = w.Write(t.Context(), some(2, 4), nil)
	require.ErrorContains(t, err, "write to dataset s3://traces/a/dataset: put v1/")
	assert.NotContains(t, err.Error(), "\nput", "one error, not one a try")
	t.Log(err)
	g.cut.Store(false)
	assert.Len(t, visible(t, g.url), 4)

	g.delay.Store(int64(200 * time.Millisecond)) // and slow when it is back
	_, err = w.Write(t.Context(), some(2, 4), nil)
	require.NoError(t, err)
	g.delay.Store(0)
	for id, n := range visible(t, g.url) {
		assert.Equal(t, 1, n, id)
	}
	assert.Len(t, visible(t, g.url), 8)
	require.NoError(t, w.Close())
	noLeftovers(t, open(t, g.url))
}

func open(t *testing.T, url string) *Bucket {
	b, err := Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// A commit that ended halfway, as of a killed process, cannot be seen, and is
// removed by the next writer of the name, when it is old enough.
func TestS3HalfWritten(t *testing.T) {
	g := s3(t)
	for n := range 8 {
		f := &faulty{Bucket: open(t, g.url), kind: dies, left: n + 1}
		w := writer(t, f, noon)
		_, err := w.Write(t.Context(), some(1, 4), nil)
		require.ErrorIs(t, err, errFault)
		require.NoError(t, w.Close())
		for id, times := range visible(t, g.url) {
			assert.LessOrEqual(t, times, 1, id)
		}
	}
	require.NotEmpty(t, names(t, open(t, g.url)))
	require.NoError(t, writer(t, open(t, g.url), noon.Add(3*time.Hour)).Close())
	noLeftovers(t, open(t, g.url))
}

func TestS3Refuses(t *testing.T) {
	g := s3(t)
	write := func(root string) error {
		w, err := NewWriter(t.Context(), root, "a", dataset.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, w.Close()) }()
		require.Error(t, w.Warning())
		_, err = w.WriteFacts(t.Context(), []trajectory.Fact{{ID: "f", Name: "n"}})
		return err
	}
	u, err := url.Parse(g.url)
	require.NoError(t, err)
	u.Host = "elsewhere"
	require.ErrorContains(t, write(u.String()), "s3://elsewhere/a/dataset: there is no bucket elsewhere: make it, or correct the URL")

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	err = write(g.url)
	require.ErrorContains(t, err, "the store refuses: SignatureDoesNotMatch")
	require.ErrorContains(t, err, "check the credentials")
	_, _, err = Local(t.Context(), g.url, ReadOptions{})
	require.ErrorContains(t, err, "the store refuses")

	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	err = write(g.url)
	require.ErrorContains(t, err, "no credentials were found")
	t.Log(err)

	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = open(t, g.url).Get(ctx, "v1/none", io.Discard, 1)
	require.ErrorIs(t, err, os.ErrNotExist, fmt.Sprint(err))
}
