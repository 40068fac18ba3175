package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
)

// digestManifest computes a bundle's ID from the bytes of bundle.json: SHA-256
// over the canonical form (RFC 8785) of the object without its "id" member. It
// works on the bytes, not on [Manifest], so that members of later versions
// count.
func digestManifest(raw []byte) (string, error) {
	canon, err := canonicalManifest(raw)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canon)
	return hex.EncodeToString(sum[:]), nil
}

func canonicalManifest(raw []byte) ([]byte, error) {
	v, err := decodeUnique(raw)
	if err != nil {
		return nil, fmt.Errorf("not a manifest: %w", err)
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a manifest: must be a JSON object")
	}
	delete(obj, "id")
	return appendCanonical(nil, obj)
}

// decodeUnique decodes JSON and refuses repeated keys, which readers resolve
// differently.
func decodeUnique(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	v, err := decodeValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the JSON value")
	}
	return v, nil
}

func decodeValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	if delim == '[' {
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	obj := map[string]any{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string)
		if _, seen := obj[name]; seen {
			return nil, fmt.Errorf("key %q is repeated", name)
		}
		if obj[name], err = decodeValue(dec); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return obj, err
}

// appendCanonical appends the RFC 8785 form of a decoded JSON value. Go writes
// a float64 as ECMAScript does, except for negative zero.
func appendCanonical(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendCanonicalString(dst, v), nil
	case float64:
		if v == 0 {
			return append(dst, '0'), nil
		}
	case []any:
		return appendList(dst, '[', ']', len(v), func(dst []byte, i int) ([]byte, error) {
			return appendCanonical(dst, v[i])
		})
	case map[string]any:
		keys := sortedKeys(v)
		return appendList(dst, '{', '}', len(keys), func(dst []byte, i int) ([]byte, error) {
			dst = append(appendCanonicalString(dst, keys[i]), ':')
			return appendCanonical(dst, v[keys[i]])
		})
	}
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func appendList(dst []byte, open, end byte, n int, elem func([]byte, int) ([]byte, error)) ([]byte, error) {
	dst = append(dst, open)
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = elem(dst, i); err != nil {
			return nil, err
		}
	}
	return append(dst, end), nil
}

func appendCanonicalString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= ' ':
			dst = append(dst, string(r)...)
		default:
			if i := strings.IndexRune("\b\t\n\f\r", r); i >= 0 {
				dst = append(dst, '\\', "btnfr"[i])
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
			}
		}
	}
	return append(dst, '"')
}

// sortedKeys orders keys by UTF-16 code units, as RFC 8785 asks.
func sortedKeys(obj map[string]any) []string {
	keys := make([]string, 0, len(obj))
	for k := range obj {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	return keys
}
