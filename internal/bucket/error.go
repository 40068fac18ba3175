package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"
)

// explained is a store's error in one line: what failed, what the store said,
// and what to look at. The SDKs' own texts span requests and retries.
func (b *Bucket) explained(what string, err error) error {
	said := err
	code, message := answer(err)
	if code != "" {
		said = errors.New(strings.TrimRight(code+": "+message, ": "))
	} else if cause := network(err); cause != nil {
		said = cause
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s in %s: %w", what, b, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s in %s: the store does not answer, or takes too long: %w", what, b, context.DeadlineExceeded)
	case code == "NoSuchBucket" || code == "ContainerNotFound" || gone(err) && strings.HasPrefix(what, "list "):
		return fmt.Errorf("%s: there is no bucket %s: make it, or correct the URL", b, b.at.bucket)
	case gone(err):
		return fmt.Errorf("%s in %s: %w", what, b, fs.ErrNotExist)
	case refused(code) || gcerrors.Code(err) == gcerrors.PermissionDenied:
		return fmt.Errorf("%s in %s: the store refuses: %w: check the credentials, and that they may list, get, put and delete there", what, b, said)
	case strings.Contains(err.Error(), "redentials") && code == "":
		return fmt.Errorf("%s in %s: no credentials were found, or they could not be had: %w: give them where the store's own tools look for them, such as its environment variables", what, b, said)
	}
	return fmt.Errorf("%s in %s: %w", what, b, said)
}

// answer is the error that a store answered with, in the store's words.
func answer(err error) (code, message string) {
	var s3 smithy.APIError
	var az *azcore.ResponseError
	var gs *googleapi.Error
	switch {
	case errors.As(err, &s3):
		return s3.ErrorCode(), s3.ErrorMessage()
	case errors.As(err, &az):
		return az.ErrorCode, fmt.Sprintf("status %d", az.StatusCode)
	case errors.As(err, &gs):
		return fmt.Sprintf("status %d", gs.Code), gs.Message
	}
	return "", ""
}

// network is what went wrong on the way, without the layers above it.
func network(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	var sent *url.Error
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op):
		return op
	case errors.As(err, &sent):
		return fmt.Errorf("%s: %w", sent.Op, sent.Err)
	}
	return nil
}

func gone(err error) bool {
	var gs *googleapi.Error
	return gcerrors.Code(err) == gcerrors.NotFound || errors.As(err, &gs) && gs.Code == http.StatusNotFound
}

func refused(code string) bool {
	switch code {
	case "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed", "status 401", "status 403":
		return true
	}
	return false
}
