package genai

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxKeys bounds the names of attributes that are remembered.
const maxKeys = 4096

// key is what the name of an attribute says, whatever its value.
type key struct {
	name   string
	next   *key // the name that came after it the last time
	prefix *prefix
	entry  entry // rank 0: no row has the name
	kind   keyKind
}

type keyKind uint8

const (
	keyPlain   keyKind = iota
	keyFlat            // may be a leaf of a flattened message: see flat.go
	keyIndexed         // likewise: see indexed.go
)

// keys remembers names. Instrumentations write the same few in the same order,
// so that one comparison mostly finds the next.
type keys struct {
	known map[string]*key
	first key  // before the first of a span
	last  *key // the one before
}

// of is the key of a name. A name is looked up once in the tables.
func (ks *keys) of(name string) *key {
	last := ks.last
	k := last.next
	if k == nil || k.name != name {
		if k = ks.known[name]; k == nil {
			k = ks.learn(name)
		}
		last.next = k
	}
	ks.last = k
	return k
}

func (ks *keys) learn(name string) *key {
	if ks.known == nil || len(ks.known) >= maxKeys {
		ks.known = make(map[string]*key, 64)
	}
	k := &key{name: strings.Clone(name), prefix: prefixOf(name), entry: names[name]}
	switch {
	case strings.HasPrefix(name, "llm."):
		k.kind = keyFlat
	case isIndexed(name):
		k.kind = keyIndexed
	}
	ks.known[k.name] = k
	return k
}

// take files one attribute.
func (r *reader) take(name string, v pcommon.Value) {
	k := r.keys.of(name)
	if k.prefix != nil {
		r.marked = true
		r.spoken |= k.prefix.dialect
	}
	if k.kind == keyFlat && r.flat.take(name, v) {
		return
	}
	if k.kind != keyPlain && r.indexed.takeIndexed(name, v) {
		r.spoken |= indexedBit
		return
	}
	e := &k.entry
	if e.rank == 0 || blank(v) && e.field != fToolResult && e.field != fValueOut && e.field != fOut {
		return
	}
	if e.marker {
		r.spoken |= 1 << e.dialect
	}
	have := r.ranks[e.field]
	if have == 0 {
		r.filled = append(r.filled, e.field)
	}
	if have == 0 || e.rank < have {
		r.ranks[e.field], r.values[e.field] = e.rank, v
	}
}
