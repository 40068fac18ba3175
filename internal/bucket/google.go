package bucket

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// google is a bucket of Google's, spoken to through Google's own REST client.
// The library's driver for gs:// links gRPC with all of xDS instead, which costs
// every Collector memory (docs/adr/015-datasets-in-buckets.md).
type google struct {
	service        *storage.Service
	bucket, prefix string
}

// chunk is how much of an upload is sent, and kept to be sent again, at once.
const chunk = 8 << 20

func openGoogle(ctx context.Context, at place) (store, error) {
	u, err := url.Parse(at.open)
	if err != nil {
		return nil, err
	}
	var opts []option.ClientOption
	for name, values := range u.Query() {
		switch value := values[0]; {
		case name == "endpoint":
			opts = append(opts, option.WithEndpoint(strings.TrimSuffix(value, "/")+"/storage/v1/"))
		case name == "anonymous" && value == "true":
			opts = append(opts, option.WithoutAuthentication())
		default:
			return nil, fmt.Errorf("%s=%s means nothing for gs://: it knows endpoint=URL and anonymous=true", name, value)
		}
	}
	service, err := storage.NewService(context.WithoutCancel(ctx), opts...)
	if err != nil {
		return nil, err
	}
	return &google{service: service, bucket: at.bucket, prefix: at.prefix}, nil
}

func (g *google) put(ctx context.Context, name string, r io.Reader) error {
	object := &storage.Object{Name: g.prefix + name, ContentType: contentType}
	_, err := g.service.Objects.Insert(g.bucket, object).Media(r, googleapi.ContentType(contentType), googleapi.ChunkSize(chunk)).Context(ctx).Do()
	return err
}

func (g *google) read(ctx context.Context, name string) (io.ReadCloser, error) {
	answer, err := g.service.Objects.Get(g.bucket, g.prefix+name).Context(ctx).Download()
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

func (g *google) list(ctx context.Context, prefix string, each func(dataset.Object)) error {
	call := g.service.Objects.List(g.bucket).Prefix(g.prefix+prefix).Fields("nextPageToken", "items(name,size,updated)")
	return call.Pages(ctx, func(page *storage.Objects) error {
		for _, o := range page.Items {
			at, err := time.Parse(time.RFC3339Nano, o.Updated)
			if err != nil {
				return fmt.Errorf("%s: the time is %q", o.Name, o.Updated)
			}
			each(dataset.Object{Name: strings.TrimPrefix(o.Name, g.prefix), Bytes: int64(o.Size), Time: at}) //nolint:gosec // no object has 2^63 bytes
		}
		return nil
	})
}

func (g *google) remove(ctx context.Context, name string) error {
	return g.service.Objects.Delete(g.bucket, g.prefix+name).Context(ctx).Do()
}

func (*google) close() error { return nil }
