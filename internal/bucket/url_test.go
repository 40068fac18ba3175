package bucket

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestURLs(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_ENDPOINT_URL_S3", "")
	for url, want := range map[string]place{
		"s3://b":                           {open: "s3://b", bucket: "b", name: "s3://b"},
		"s3://b/":                          {open: "s3://b", bucket: "b", name: "s3://b"},
		"s3://b/a//c/?region=eu-central-1": {open: "s3://b?region=eu-central-1", bucket: "b", prefix: "a/c/", name: "s3://b/a/c"},
		"s3://b/../x":                      {open: "s3://b", bucket: "b", prefix: "x/", name: "s3://b/x"},
		"s3://b?endpoint=http://h:1":       {open: "s3://b?endpoint=http%3A%2F%2Fh%3A1&use_path_style=true", bucket: "b", name: "s3://b"},
		"s3://b?endpoint=http://h:1&use_path_style=false":       {open: "s3://b?endpoint=http%3A%2F%2Fh%3A1&use_path_style=false", bucket: "b", name: "s3://b"},
		"s3://b?endpoint=https://s3.eu-central-1.amazonaws.com": {open: "s3://b?endpoint=https%3A%2F%2Fs3.eu-central-1.amazonaws.com", bucket: "b", name: "s3://b"},
		"gs://b/data": {open: "gs://b", bucket: "b", prefix: "data/", name: "gs://b/data"},
		"az://container/data?storage_account=someone": {open: "azblob://container?storage_account=someone", bucket: "container", prefix: "data/", name: "az://container/data"},
	} {
		got, err := parse(url)
		require.NoError(t, err, url)
		assert.Equal(t, want, got, url)
		assert.True(t, IsURL(url))
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
	got, err := parse("s3://b")
	require.NoError(t, err)
	assert.Equal(t, "s3://b?use_path_style=true", got.open, "the SDK reads the variable itself")
}

func TestURLsThatMakeNoSense(t *testing.T) {
	for url, want := range map[string]string{
		"ftp://b/x":          "ftp:// is not known: use s3://, gs:// or az://",
		"s3:///x":            "the name of the bucket is missing: write s3://bucket/folder",
		"s3://key:secret@b/": "a URL must not hold credentials",
		"s3://b/#x":          "# has no meaning here",
		"s3://%zz":           "is not a URL",
	} {
		_, err := parse(url)
		require.ErrorContains(t, err, want, url)
		assert.NotContains(t, err.Error(), "secret")
	}
	for _, path := range []string{"dataset", "/var/lib/tracegrad", `C:\data`, "./s3:/x", ""} {
		assert.False(t, IsURL(path), path)
	}
}

// Options that the store's library does not know are errors at once.
func TestUnknownOption(t *testing.T) {
	_, err := Open(t.Context(), "s3://b?regoin=x")
	require.ErrorContains(t, err, "open bucket s3://b: ")
	require.ErrorContains(t, err, `unknown query parameter "regoin"`)
}
