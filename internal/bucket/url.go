package bucket

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/s3blob"
)

// googleScheme is that of Google's buckets, which the library does not open.
const googleScheme = "gs"

// schemes are those of the URLs that users write, with those of the library.
var schemes = map[string]string{"s3": s3blob.Scheme, googleScheme: googleScheme, "az": azureblob.Scheme}

// IsURL says whether root names a bucket, rather than a folder.
func IsURL(root string) bool { return strings.Contains(root, "://") }

// Check says what is wrong with root if it is a URL that leads to no bucket.
func Check(root string) error {
	if !IsURL(root) {
		return nil
	}
	_, err := parse(root)
	return err
}

// place is where a URL leads.
type place struct {
	open   string // the bucket in the library's words, without the prefix
	bucket string
	prefix string // of all names: "" or ending in a slash
	name   string // the URL without its parameters
}

// parse reads <scheme>://<bucket>[/<prefix>][?parameters].
func parse(root string) (place, error) {
	u, err := url.Parse(root)
	if err != nil {
		return place{}, fmt.Errorf("%q is not a URL: %w", root, err)
	}
	scheme, ok := schemes[u.Scheme]
	switch {
	case !ok:
		return place{}, fmt.Errorf("%s: %s:// is not known: use s3://, gs:// or az://, or the path of a folder", root, u.Scheme)
	case u.Host == "":
		return place{}, fmt.Errorf("%s: the name of the bucket is missing: write %s://bucket/folder", root, u.Scheme)
	case u.User != nil:
		return place{}, fmt.Errorf("%s://%s: a URL must not hold credentials: give them where the store's own tools look for them", u.Scheme, u.Host)
	case u.Fragment != "":
		return place{}, fmt.Errorf("%s: # has no meaning here", root)
	}
	prefix := strings.TrimPrefix(path.Clean("/"+u.Path), "/")
	p := place{bucket: u.Host, name: strings.TrimSuffix(u.Scheme+"://"+u.Host+"/"+prefix, "/")}
	if prefix != "" {
		p.prefix = prefix + "/"
	}
	query := u.Query()
	if u.Scheme == "s3" {
		compatible(query)
	}
	p.open = (&url.URL{Scheme: scheme, Host: u.Host, RawQuery: query.Encode()}).String()
	return p, nil
}

// compatible fits the parameters to servers that speak S3 but are not
// Amazon's: they have no host name per bucket.
func compatible(query url.Values) {
	own := query.Get("endpoint")
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		if own == "" {
			own = os.Getenv(name)
		}
	}
	said := slices.ContainsFunc([]string{"use_path_style", "s3ForcePathStyle", "hostname_immutable"}, query.Has)
	if own != "" && !strings.Contains(own, ".amazonaws.com") && !said {
		query.Set("use_path_style", "true")
	}
}
